/* What turns the meaning of the same words: negation, opposites, direction, persons, wishes, time.
 */
#include "pairs.h"

TEST(negation)
{
    VETOED(GUARD_NEGATION, {"Which plants need light?", "Which plants do not need light?"},
           {"Why does my cat eat grass?", "Why doesn't my cat eat grass?"},
           {"How do I cook rice with a lid?", "How do I cook rice without a lid?"},
           {"What should a tourist see?", "What shouldn't a tourist see?"},
           {"How can I be more visible at work?", "How can I be less visible at work?"},
           {"Can I pay by card?", "Can I never pay by card?"},
           {"How do I start smoking?", "How do I stop smoking?"});
    HARMLESS({"Why doesn't my cat eat grass?", "Why does my cat not eat grass?"},
             {"I can't open the door", "I cannot open the door"},
             {"I cant open the door", "I'm unable to open the door"},
             {"How can I be less impatient?", "How can I be more patient?"},
             {"Is this not legal?", "Is this illegal?"},
             {"The app isn't working", "The app does not work"});
}

TEST(opposites)
{
    VETOED(GUARD_ANTONYM, {"How do I turn on dark mode?", "How do I turn off dark mode?"},
           {"How do I enable the firewall?", "How do I disable the firewall?"},
           {"What is the highest mountain?", "What is the lowest mountain?"},
           {"How do I sort in ascending order?", "How do I sort in descending order?"},
           {"How do I log in to my bank?", "How do I log out of my bank?"},
           {"Is it safe to drink?", "Is it dangerous to drink?"},
           {"How do I install the driver?", "How do I uninstall the driver?"},
           {"Is the shape symmetric?", "Is the shape nonsymmetric?"},
           {"Should I buy gold?", "Should I sell gold?"},
           {"Is it more than a mile?", "Is it less than a mile?"},
           {"Which floor is above mine?", "Which floor is below mine?"});
    HARMLESS({"How do I purchase gold?", "How do I buy gold?"},
             {"How big is the sun?", "How large is the sun?"},
             {"I am scared of spiders", "I am afraid of spiders"},
             {"Which colour is calming?", "Which color is calming?"},
             {"How do I organise a party?", "How do I organize a party?"});
}

TEST(direction)
{
    VETOED(GUARD_DIRECTION, {"Trains from Leeds to Hull", "Trains from Hull to Leeds"},
           {"Is Bob taller than Tim?", "Is Tim taller than Bob?"},
           {"Was Bob hired by Tim?", "Was Tim hired by Bob?"},
           {"Did Bob hire Tim?", "Was Bob hired by Tim?"},
           {"How do I convert from pdf to word?", "How do I convert from word to pdf?"});
    VETOED(GUARD_ANTONYM, {"Should I eat before running?", "Should I eat after running?"});
    HARMLESS({"Did Bob hire Tim?", "Was Tim hired by Bob?"},
             {"Did the wolf eat the lamb?", "Was the lamb eaten by the wolf?"},
             {"Trains from Leeds to Hull", "Trains to Hull from Leeds"});
}

TEST(order)
{
    VETOED(GUARD_ORDER, {"Did Bob visit Tim?", "Did Tim visit Bob?"},
           {"Does the dog chase the cat?", "Does the cat chase the dog?"},
           {"Did Ann Lee meet Joe Hill?", "Did Ann Hill meet Joe Lee?"});
    HARMLESS({"Is Bob related to Tim?", "Is Tim related to Bob?"},
             {"Who wins, Bob or Tim?", "Who wins, Tim or Bob?"},
             {"Do cats and dogs get along?", "Do dogs and cats get along?"},
             {"Python best books", "best Python books"},
             {"Are whales heavier than trucks?", "What is heavier, trucks or whales?"});
}

TEST(persons)
{
    VETOED(GUARD_PRONOUN, {"Should he call her back?", "Should she call him back?"},
           {"Is he at home?", "Is she at home?"});
    VETOED(GUARD_POSSESSIVE, {"What is my name?", "What is your name?"});
    HARMLESS({"Is he at home?", "is he home"},
             {"What should I do in my exam?", "What should you do in your exam?"},
             {"Where is my key?", "Where is the key?"});
}

TEST(one_word_for_another)
{
    VETOED(GUARD_SWAP, {"Can my rabbit eat carrots?", "Can my rabbit eat celery?"},
           {"I hurt my knee skiing", "I hurt my elbow skiing"},
           {"How do I clean a carpet?", "How do I clean a window?"},
           {"How do I feed my horse?", "How do I feed my house?"});
    HARMLESS({"How do I clean a carpet?", "How can I clean carpets?"},
             {"What is a good way to learn chess?", "What is the best method to learn chess?"},
             {"How do I clean a windshield?", "How do I clean a winshield?"},
             {"Where is my check list?", "Where is my checklist?"},
             {"Is it really broken?", "Is it broken?"});
}

TEST(task_and_form)
{
    VETOED(GUARD_TASK, {"Summarize the plot of Hamlet", "Translate the plot of Hamlet"});
    VETOED(GUARD_FORMAT, {"Explain gravity in detail", "Explain gravity briefly"},
           {"List the planets as JSON", "List the planets as CSV"},
           {"Explain tides", "Explain tides in a poem"});
    VETOED(GUARD_NUMBER, {"Explain tides in two sentences", "Explain tides in three sentences"});
    HARMLESS({"Explain gravity please", "Can you explain gravity?"});
}

TEST(time_words_and_logic)
{
    VETOED(GUARD_WHEN, {"What should I wear?", "What should I wear tomorrow?"},
           {"Is she an actor?", "Is she becoming an actor?"},
           {"How do I get a weekly pass?", "How do I get a monthly pass?"},
           {"Did he smoke?", "Did he use to smoke?"});
    VETOED(GUARD_LOGIC, {"Do I need salt and pepper?", "Do I need salt or pepper?"});
    HARMLESS({"What do I use to open a jar?", "What is used to open a jar?"});
}

TEST(kind_of_question)
{
    VETOED(GUARD_QUESTION, {"When was the tower built?", "Where was the tower built?"},
           {"Who moved the fence?", "Why was the fence moved?"});
    HARMLESS({"What is the way to boil an egg?", "How do I boil an egg?"});
}

TEST(length_language_and_script)
{
    VETOED(GUARD_LENGTH,
           {"What is chess?", "What is chess and why do so many people of all ages play it?"});
    VETOED(GUARD_LANGUAGE,
           {"What is the price of the ticket?", "Was ist der Preis und wie ist das ticket?"});
    VETOED(GUARD_SCRIPT, {"hello world", "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 "
                                         "\xd0\xbc\xd0\xb8\xd1\x80"});
}

TEST(rules_have_names)
{
    for (uint32_t r = 0; r < GUARD_RULES; r++) {
        CHECK(strlen(guard_name(r)) > 2);
        for (uint32_t other = 0; other < r; other++)
            CHECK(strcmp(guard_name(r), guard_name(other)) != 0);
    }
    CHECK_INT(guard_first(0), GUARD_RULES);
    CHECK_INT(guard_first(1u << GUARD_SWAP | 1u << GUARD_WHEN), GUARD_SWAP);
}

CHECK_MAIN
