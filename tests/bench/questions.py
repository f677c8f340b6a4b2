"""Questions that are all different, of 16 to 64 tokens, and the same question in other words."""

import random

ASK = ("How do I {verb} {thing} {when}?", "What is the best way to {verb} {thing} {when}?",
       "Why does it take so long to {verb} {thing} {when}?", "Can somebody explain how to {verb} {thing} {when}?",
       "Which mistakes do people make who {verb} {thing} {when}?")
VERBS = ("repair", "clean", "paint", "describe", "choose", "measure", "sell", "carry", "replace", "design", "inspect",
         "store", "decorate", "compare", "restore", "label", "photograph", "build", "adjust", "protect")
KINDS = ("wooden", "old", "heavy", "broken", "small", "expensive", "rusty", "green", "borrowed", "antique", "plastic",
         "round", "narrow", "foreign", "cheap", "silent", "folding", "leather", "glass", "dusty")
THINGS = ("bicycle", "table", "violin", "window", "garden fence", "camera", "bookshelf", "telescope", "boat", "kettle",
          "lamp", "carpet", "piano", "clock", "suitcase", "mirror", "ladder", "printer", "tent", "engine")
OWNERS = ("neighbour", "teacher", "sister", "landlord", "colleague", "doctor", "gardener", "captain", "baker", "uncle")
WHEN = ("before a long journey through the mountains", "when nobody else in the house can help",
        "after a winter in the cellar of a hotel", "while the shop around the corner is closed",
        "without the tools that a professional has", "if the instructions are in another language",
        "so that it lasts for many years by the sea", "in a room that is hardly larger than itself")
MORE = ("I have tried the advice of a friend, and it made everything worse.",
        "The manual says nothing about it, and the maker of it has long been out of business.",
        "A short answer is enough, since I only want to understand the idea behind it.",
        "It belongs to a museum, whose director does not like surprises of any kind.")


class Questions:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seen = set()

    def new(self, short=False):
        pick = self.random.choice
        while True:
            thing = f"the {pick(KINDS)} {pick(THINGS)} of my {pick(OWNERS)}"
            text = pick(ASK).format(verb=pick(VERBS), thing=thing, when=pick(WHEN))
            if not short:
                text = " ".join([text, *self.random.sample(MORE, self.random.randrange(3))])
            if text not in self.seen:
                self.seen.add(text)
                return text


def again(question):
    """The same question in other words."""
    return (question[:-1] + ", please?", "Please tell me: " + question[0].lower() + question[1:],
            question + " Thanks!", "Hello, " + question[0].lower() + question[1:])
