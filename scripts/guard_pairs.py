"""Pairs of questions that the training of the guards' score makes itself."""
import random

NOUNS = ["bicycle", "guitar", "garden", "kitchen", "laptop", "passport", "budget", "website", "resume", "printer",
         "camera", "sofa", "roof", "engine", "speech", "novel", "startup", "invoice", "database", "mortgage",
         "puppy", "lawn", "contract", "podcast", "tent", "wedding", "router", "spreadsheet", "bakery", "violin"]
VERBS = ["clean", "sell", "paint", "insure", "renew", "transport", "photograph", "rent", "protect", "decorate",
         "register", "inspect", "store", "donate", "recycle", "upgrade", "move", "restore", "advertise", "maintain"]
ADJECTIVES = ["vintage", "wooden", "broken", "electric", "portable", "commercial", "damaged", "inherited", "leased",
              "medieval", "tiny", "waterproof", "professional", "stolen", "unfinished", "luxury", "foreign", "fake",
              "excellent", "terrible", "famous", "rusty", "digital", "organic", "temporary", "excited"]
ENDINGS = ["for children", "for a museum", "in winter", "at night", "in a small town", "on a boat", "with a friend",
           "for free", "as a student", "during an exam", "with one hand", "for a living", "in space", "by mail",
           "as a gift", "in bulk", "in the rain", "with a discount", "on a farm", "for tourists"]
BASES = ["How do I {verb} a {noun}?", "What does it cost to {verb} a {noun}?", "Is it legal to {verb} a {noun}?",
         "Who can {verb} my {noun}?", "Why would anyone {verb} a {noun}?", "Where can I {verb} a {noun}?",
         "Do I need a licence to {verb} a {noun}?", "Is a {noun} worth it?", "What makes a {noun} good?",
         "Can a {noun} be dangerous?", "What is a {noun} made of?", "Should I {verb} my {noun} myself?"]
# The same words of weight, put together otherwise: what only the small words tell apart.
SAME_WORDS = [("How do I {verb} a {noun}?", "How do I {verb} with a {noun}?"),
              ("How do I {verb} a {noun}?", "How do they {verb} for a {noun}?"),
              ("What can I {verb} for a {noun}?", "What can a {noun} {verb} for me?"),
              ("What do I {verb} in a {noun}?", "What do I {verb} a {noun} in?"),
              ("What is a {noun}?", "What is it like to have a {noun}?"),
              ("What is a {noun} for?", "What is in a {noun}?"),
              ("What does a {noun} do?", "What do I do with a {noun}?"),
              ("How can I {verb} a {noun}?", "How can a {noun} {verb} me?"),
              ("What does it mean to {verb} a {noun}?", "What do I need to {verb} a {noun}?"),
              ("What should I {verb} on a {noun}?", "What should be on a {noun} that I {verb}?"),
              ("What are some things to {verb} with a {noun}?", "What are some ways to {verb} a {noun}?"),
              ("What was it like to {verb} a {noun}?", "What would it take to {verb} a {noun}?")]
SAME_START = [("How do I ", "How can I "), ("How do I ", "What is the best way to "), ("How do I ", "How to "),
              ("What does it cost to ", "How much does it cost to "), ("Is it legal to ", "Is it lawful to "),
              ("Where can I ", "Where do I "), ("What is a ", "What's a "), ("Can a ", "Could a "),
              ("Do I need ", "Would I need "), ("Should I ", "Would you advise me to "), ("Is a ", "Is the ")]
SAME_ALL = ["Please tell me: {0}", "Hello, {1}", "{0} Thanks!", "{1}", "{0} Please help.", "I was wondering, {1}",
            "Could you please tell me {1}", "hi there! {1}", "So {1}", "{0}?"]


def lowered(text):
    return text[0].lower() + text[1:].rstrip("?")


def harmless(rng, text):
    """The same question in other words."""
    starts = [(a, b) for a, b in SAME_START if text.startswith(a)]
    if starts and rng.random() < 0.5:
        a, b = rng.choice(starts)
        return b + text[len(a):]
    if rng.random() < 0.2:
        return typo(rng, text)
    return rng.choice(SAME_ALL).format(text, lowered(text))


def typo(rng, text):
    """Two letters inside the longest word change places."""
    word = max(text.rstrip("?").split(), key=len)
    at = rng.randrange(1, len(word) - 2) if len(word) > 4 else 1
    return text.replace(word, word[:at] + word[at + 1] + word[at] + word[at + 2:])


def harmful(rng, text, noun):
    """Another question in nearly the same words, of a kind that no veto sees."""
    kind = rng.random()
    if kind < 0.5:
        return text.replace(f" {noun}", f" {rng.choice(ADJECTIVES)} {noun}")
    if kind < 0.8:
        return text.rstrip("?") + " " + rng.choice(ENDINGS) + "?"
    return text.replace(f" {noun}", f" {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}")


def make(count, seed):
    """(text, text, label, half); the halves are about different things."""
    rng = random.Random(seed)
    pairs, made = [], []
    while len(pairs) < count:
        noun = rng.choice(NOUNS)
        base, verb = rng.choice(BASES), rng.choice(VERBS)
        text = base.format(verb=verb, noun=noun)
        same = len(pairs) % 2
        other = harmless(rng, text) if same else harmful(rng, text, noun)
        if other != text:
            pairs.append((text, other, same, NOUNS.index(noun) % 2))
            made.append((base, verb, noun))
    return pairs + [other_question(rng, *made[n]) for n in range(count // 6)]


def make_same_words(seed):
    """Pairs that only their small words tell apart, all different."""
    rng, pairs = random.Random(seed), []
    for one, other in SAME_WORDS:
        for noun in NOUNS:
            words = {"verb": rng.choice(VERBS), "noun": noun}
            pairs.append((one.format(**words), other.format(**words), 0, NOUNS.index(noun) % 2))
    return pairs


def other_question(rng, base, verb, noun):
    """Something else about the same: how, why, where, whether."""
    other = rng.choice([b for b in BASES if b != base and ("{verb}" in b) == ("{verb}" in base)])
    return (base.format(verb=verb, noun=noun), other.format(verb=verb, noun=noun), 0, NOUNS.index(noun) % 2)
