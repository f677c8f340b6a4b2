/* What is equal or not: numbers, dates, times, versions, identifiers, names, quotes, code,
 * material. */
#include "pairs.h"

TEST(numbers_with_their_units)
{
    VETOED(GUARD_NUMBER, {"How do I bake 2 loaves of bread?", "How do I bake 3 loaves of bread?"},
           {"What can I buy for $20?", "What can I buy for 20 euros?"},
           {"Is 5 km a long run?", "Is 5 miles a long run?"},
           {"How much is 15% of my rent?", "How much is 50% of my rent?"},
           {"What is 1.5 times the dose?", "What is 15 times the dose?"},
           {"How do I lose ten kilos?", "How do I lose twelve kilos?"},
           {"Who won the first race?", "Who won the third race?"},
           {"Is two hundred enough?", "Is two thousand enough?"},
           {"Tell me about World War II", "Tell me about World War III"},
           {"How do I get a loan of 2 million?", "How do I get a loan of 2 billion?"},
           {"Which laptop should I buy?", "Which laptop under 500 should I buy?"});
    HARMLESS({"How do I save 1,000 dollars?", "How do I save $1000?"},
             {"How do I save 5k dollars?", "How do I save 5 thousand dollars?"},
             {"Is ten kilos a lot?", "Is 10 kg a lot?"},
             {"What is 12 percent of it?", "What is 12% of it?"},
             {"Is twenty-five too young?", "Is 25 too young?"},
             {"Is two hundred and fifty enough?", "Is 250 enough?"},
             {"How was the 1st day?", "How was the first day?"},
             {"Is 2.50 eur too much?", "Is \xe2\x82\xac"
                                       "2.5 too much?"},
             {"How did World War 2 begin?", "How did World War II begin?"},
             {"Which one is best?", "Which is best?"});
}

TEST(dates)
{
    VETOED(GUARD_DATE, {"What happened on 2024-03-05?", "What happened on 2024-03-06?"},
           {"Is it warm there in June?", "Is it warm there in July?"},
           {"What happened on March 5, 1999?", "What happened on March 15, 1999?"},
           {"Are shops open on monday?", "Are shops open on sunday?"},
           {"Is it warm there?", "Is it warm there in January?"});
    HARMLESS({"What happened on 2024-03-05?", "What happened on March 5, 2024?"},
             {"What happened on 5th of March 2024?", "What happened on Mar 5 2024?"},
             {"What happened on 25/12/2020?", "What happened on 12/25/2020?"},
             {"May I smoke here?", "Can I smoke here?"});
}

TEST(times_of_the_day)
{
    VETOED(GUARD_TIME, {"Is the pool open at 5pm?", "Is the pool open at 5am?"},
           {"Can we meet at 10:30?", "Can we meet at 11:30?"});
    HARMLESS({"Is the pool open at 5pm?", "Is the pool open at 17:00?"},
             {"Is the pool open at 5 pm?", "Is the pool open at 5 p.m.?"});
}

TEST(versions)
{
    VETOED(GUARD_VERSION, {"What is new in Python 3.11?", "What is new in Python 3.12?"},
           {"What is new in Python 3.1?", "What is new in Python 3.10?"},
           {"How do I update to 1.2.3?", "How do I update to 1.2.4?"});
    VETOED(GUARD_IDENTIFIER, {"How do I use the v2 endpoint?", "How do I use the v3 endpoint?"});
    HARMLESS({"What is new in Python 3.11?", "what's new in python 3.11"});
}

TEST(identifiers)
{
    VETOED(GUARD_IDENTIFIER, {"What does --force do?", "What does --quiet do?"},
           {"What does read_file return?", "What does read_line return?"},
           {"Where is config.yaml?", "Where is config.json?"},
           {"Is https://example.org/a up?", "Is https://example.org/b up?"},
           {"What is in /etc/hosts?", "What is in /etc/passwd?"},
           {"Who is @alice?", "Who is @bob?"}, {"Can I reach 10.0.0.1?", "Can I reach 10.0.0.2?"},
           {"How do I play mp3 files?", "How do I play mp4 files?"},
           {"What did commit 3f2a9c1d change?", "What did commit 3f2a9c1e change?"});
    HARMLESS({"What does --force do?", "what does --force do"},
             {"What does `print` do?", "What does print do?"},
             {"Where is Config.yaml?", "where is config.yaml?"});
}

TEST(names_of_people_places_and_languages)
{
    VETOED(GUARD_ENTITY, {"Where was Ada Lovelace born?", "Where was Grace Hopper born?"},
           {"What is the capital of France?", "what is the capital of spain"},
           {"What is the capital of Peru?", "What is the capital?"},
           {"How do I say hello in German?", "How do I say hello in Dutch?"},
           {"Is McDonald open?", "Is BurgerKing open?"},
           {"What does NASA do?", "What does ESA do?"},
           {"How do I sort a list in Rust?", "How do I sort a list in Java?"},
           {"The Best Hotels For Families In Lower Saxony",
            "The Best Hotels For Families In Upper Bavaria"},
           {"Did Maria call?", "Did Marie call?"});
    HARMLESS({"What is the capital of France?", "what is the capital of france"},
             {"Who was Shakespeare?", "Who was Shakepseare?"},
             {"Where was Einstein's house?", "where was einsteins house?"});
}

TEST(quoted_spans)
{
    VETOED(GUARD_QUOTE, {"What does \"carpe diem\" mean?", "What does \"memento mori\" mean?"},
           {"Translate 'the end' for me", "Translate 'an end' for me"});
    HARMLESS({"What does \"carpe diem\" mean?", "What does carpe diem mean?"},
             {"What does \xe2\x80\x9c"
              "carpe diem\xe2\x80\x9d mean?",
              "What does \"carpe diem\" mean?"});
}

TEST(code_and_material)
{
    VETOED(GUARD_CODE,
           {"Why does this fail?\n```\na = 1\n```", "Why does this fail?\n```\na = 2\n```"},
           {"Why does this fail?\n```\na = 1\n```", "Why does this fail?"});
    VETOED(GUARD_PAYLOAD,
           {"Summarise: the cat sat on the mat and looked at a bird outside",
            "Summarise: the dog lay on the rug and looked at a fish inside"},
           {"Is this correct?\n\nThe moon circles the earth once in a month, more or less.",
            "Is this correct?\n\nThe earth circles the moon once in a month, more or less."});
    HARMLESS({"Summarise: the cat didn't sit on the mat and looked at a bird outside",
              "summarise: the cat did not sit on the mat and looked at a bird outside"});
}

CHECK_MAIN
