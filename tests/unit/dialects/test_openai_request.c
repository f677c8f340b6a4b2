/* What a client may ask in OpenAI's dialect, and how wrong fields are named. */
#include "harness.h"

#define ASK(h, text)                                                                               \
    do {                                                                                           \
        harness_deinit(h);                                                                         \
        harness_init(h);                                                                           \
        harness_ask((h), s(text));                                                                 \
    } while (0)

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

/* A body, and the field that must be named; NULL: nothing is wrong. */
static const struct {
    const char *body, *param;
} bodies[] = {
    {"[]", ""},
    {"{}", "model"},
    {"{\"model\":\"a\"}", "messages"},
    {"{\"model\":\"a\",\"messages\":[]}", "messages"},
    {"{\"model\":\"a\",\"messages\":{}}", "messages"},
    {"{\"model\":\"a\",\"messages\":null}", "messages"},
    {"{\"model\":7," MESSAGES "}", "model"},
    {"{\"model\":\"\"," MESSAGES "}", "model"},
    {"{\"model\":null," MESSAGES "}", "model"},
    {"{\"model\":\"a\",\"model\":\"b\"," MESSAGES "}", "model"},
    {"{\"model\":\"a\"," MESSAGES "," MESSAGES "}", "messages"},
    {"{\"model\":\"a\"," MESSAGES ",\"service_tier\":\"auto\",\"service_t\\u0069er\":\"priority\"}",
     "service_tier"},
    {"{\"model\":\"a\",\"messages\":[7]}", "messages[0]"},
    {"{\"model\":\"a\",\"messages\":[{\"content\":\"x\"}]}", "messages[0].role"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":7,\"content\":\"x\"}]}", "messages[0].role"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]}",
     "messages[0].role"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\"}]}", "messages[0].content"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":null}]}",
     "messages[0].content"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages[0].content"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages[0].content"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[\"x\"]}]}",
     "messages[0].content[0]"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]}",
     "messages[0].content[0].type"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
     "\"content\":[{\"type\":\"text\",\"text\":\"ok\"},{\"type\":\"text\"}]}]}",
     "messages[1].content[1].text"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":[]"
     "}]}]}",
     "messages[0].content[0].text"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
     "messages[0].content[0].image_url"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
     "\"image_url\":{}}]}]}",
     "messages[0].content[0].image_url.url"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
     "\"image_url\":{\"url\":\"data:image/png;base64,\"}}]}]}",
     "messages[0].content[0].image_url"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\","
     "\"input_audio\":{\"format\":\"wav\"}}]}]}",
     "messages[0].content[0].input_audio.data"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{}"
     "}]}]}",
     "messages[0].content[0].file"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"name\":7}]}",
     "messages[0].name"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}",
     "messages[0].tool_call_id"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":{}}]}",
     "messages[0].tool_calls"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\"}]}]}",
     "messages[0].tool_calls[0].function"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\","
     "\"function\":{\"name\":\"f\",\"arguments\":{}}}]}]}",
     "messages[0].tool_calls[0].function.arguments"},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
     "\"name\":"
     "\"f\",\"arguments\":\"{}\"}}]}]}",
     "messages[0].tool_calls[0].id"},
    {"{\"model\":\"a\"," MESSAGES ",\"stream\":\"yes\"}", "stream"},
    {"{\"model\":\"a\"," MESSAGES ",\"stream_options\":true}", "stream_options"},
    {"{\"model\":\"a\"," MESSAGES ",\"stream_options\":{\"include_usage\":1}}",
     "stream_options.include_usage"},
    {"{\"model\":\"a\"," MESSAGES ",\"max_tokens\":0}", "max_tokens"},
    {"{\"model\":\"a\"," MESSAGES ",\"max_tokens\":-5}", "max_tokens"},
    {"{\"model\":\"a\"," MESSAGES ",\"max_tokens\":1.5}", "max_tokens"},
    {"{\"model\":\"a\"," MESSAGES ",\"max_tokens\":\"10\"}", "max_tokens"},
    {"{\"model\":\"a\"," MESSAGES ",\"max_completion_tokens\":99999999999999999999999}",
     "max_completion_tokens"},
    {"{\"model\":\"a\"," MESSAGES ",\"temperature\":-0.1}", "temperature"},
    {"{\"model\":\"a\"," MESSAGES ",\"temperature\":\"hot\"}", "temperature"},
    {"{\"model\":\"a\"," MESSAGES ",\"top_p\":1.5}", "top_p"},
    {"{\"model\":\"a\"," MESSAGES ",\"n\":0}", "n"},
    {"{\"model\":\"a\"," MESSAGES ",\"n\":1000}", "n"},
    {"{\"model\":\"a\"," MESSAGES ",\"seed\":1e300}", "seed"},
    {"{\"model\":\"a\"," MESSAGES ",\"top_logprobs\":-1}", "top_logprobs"},
    {"{\"model\":\"a\"," MESSAGES ",\"logprobs\":1}", "logprobs"},
    {"{\"model\":\"a\"," MESSAGES ",\"logit_bias\":[]}", "logit_bias"},
    {"{\"model\":\"a\"," MESSAGES ",\"stop\":7}", "stop"},
    {"{\"model\":\"a\"," MESSAGES ",\"stop\":[\"a\",7]}", "stop[1]"},
    {"{\"model\":\"a\"," MESSAGES ",\"stop\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "stop"},
    {"{\"model\":\"a\"," MESSAGES ",\"tools\":{}}", "tools"},
    {"{\"model\":\"a\"," MESSAGES ",\"tools\":[7]}", "tools[0]"},
    {"{\"model\":\"a\"," MESSAGES ",\"tools\":[{\"function\":{\"name\":\"f\"}}]}", "tools[0].type"},
    {"{\"model\":\"a\"," MESSAGES ",\"tools\":[{\"type\":\"function\"}]}", "tools[0].function"},
    {"{\"model\":\"a\"," MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{}}]}",
     "tools[0].function.name"},
    {"{\"model\":\"a\"," MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"parameters\":[]}}]}",
     "tools[0].function.parameters"},
    {"{\"model\":\"a\"," MESSAGES ",\"functions\":[{}]}", "functions[0].name"},
    {"{\"model\":\"a\"," MESSAGES ",\"tool_choice\":\"maybe\"}", "tool_choice"},
    {"{\"model\":\"a\"," MESSAGES ",\"tool_choice\":{\"type\":\"function\"}}",
     "tool_choice.function"},
    {"{\"model\":\"a\"," MESSAGES ",\"parallel_tool_calls\":0}", "parallel_tool_calls"},
    {"{\"model\":\"a\"," MESSAGES ",\"response_format\":\"json\"}", "response_format"},
    {"{\"model\":\"a\"," MESSAGES ",\"response_format\":{\"type\":\"yaml\"}}",
     "response_format.type"},
    {"{\"model\":\"a\"," MESSAGES ",\"response_format\":{\"type\":\"json_schema\"}}",
     "response_format.json_schema"},
    {"{\"model\":\"a\"," MESSAGES ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
     "\"schema\":7}}}",
     "response_format.json_schema.schema"},
    {"{\"model\":\"a\"," MESSAGES ",\"reasoning_effort\":3}", "reasoning_effort"},
    {"{\"model\":\"a\"," MESSAGES ",\"user\":{}}", "user"},
    {"{\"model\":\"a\"," MESSAGES ",\"modalities\":\"text\"}", "modalities"},
    {"{\"model\":\"a\"," MESSAGES ",\"metadata\":[]}", "metadata"},
    {"{\"model\":\"a\"," MESSAGES ",\"routing\":7}", "routing"},
    {"{\"model\":\"a\"," MESSAGES ",\"cache\":\"off\"}", "cache"},
    {"{\"model\":\"a\"," MESSAGES ",\"service_tier\":1}", "service_tier"},
    /* Unknown members, null for what may be left out, and unknown types of content are no faults.
     */
    {"{\"model\":\"a\"," MESSAGES ",\"quux\":{\"a\":[1]},\"tools\":null,\"stop\":null,\"seed\":-3}",
     NULL},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"video_url\"}]}]}",
     NULL},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\"}]}", NULL},
    {"{\"model\":\"a\",\"messages\":[{\"role\":\"function\",\"name\":\"f\",\"content\":null}]}",
     NULL},
};

TEST(faults_name_the_field)
{
    struct harness h;
    harness_init(&h);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ASK(&h, bodies[i].body);
        bool good = check_that((h.err == OK) == (bodies[i].param == NULL), __FILE__, (int)i,
                               bodies[i].body);
        if (!good || h.err == OK)
            continue;
        CHECK_INT(h.err, ERR_INVALID_REQUEST);
        CHECK_STR(h.param, bodies[i].param);
        CHECK(str_find(h.why, h.param, 0) != SIZE_MAX);
    }
    harness_deinit(&h);
}

TEST(the_message_says_where)
{
    struct harness h;
    harness_init(&h);
    ASK(&h,
        "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}");
    CHECK_STR(h.why, "'messages[0].content[0].text' is missing.");
    harness_deinit(&h);
}

static const char everything[] =
    "{\"model\":\"auto\",\"messages\":[{\"role\":\"developer\",\"content\":\"D\"},{\"role\":"
    "\"user\","
    "\"name\":\"bob\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image_"
    "url\",\"image_url\":"
    "{\"url\":\"data:image/"
    "png;base64,AAAA\",\"detail\":\"low\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":"
    "\"https://x/"
    "y.png\"}},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"BBBB\",\"format\":\"mp3\"}"
    "},"
    "{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/"
    "pdf;base64,CCCC\",\"filename\":\"a.pdf\"}}]},"
    "{\"role\":\"assistant\",\"content\":\"ok\",\"refusal\":\"no\",\"reasoning\":\"hm\",\"tool_"
    "calls\":[{\"id\":"
    "\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"42\"}],"
    "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":9,\"max_"
    "completion_tokens\":7,"
    "\"temperature\":0.5,\"top_p\":1,\"top_k\":40,\"seed\":-3,\"n\":2,\"frequency_penalty\":-1,"
    "\"presence_penalty\":0.5,\"stop\":[\"a\",\"b\"],\"logprobs\":true,\"top_logprobs\":2,"
    "\"logit_bias\":{\"5\":-100},\"user\":\"u\",\"reasoning_effort\":\"high\","
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
    "\"parameters\":"
    "{\"type\":\"object\"},\"strict\":true}}],\"tool_choice\":{\"type\":\"function\","
    "\"function\":{\"name\":"
    "\"f\"}},\"parallel_tool_calls\":false,\"response_format\":{\"type\":\"json_schema\","
    "\"json_schema\":"
    "{\"name\":\"n\",\"schema\":{},\"strict\":false}},\"modalities\":[\"text\",\"audio\"]}";

TEST(reads_messages)
{
    struct harness h;
    harness_init(&h);
    ASK(&h, everything);
    REQUIRE(h.err == OK);
    const struct chat *c = &h.chat;
    CHECK_INT(c->message_count, 4);
    CHECK_INT(c->messages[0].role, ROLE_DEVELOPER);
    const struct chat_message *m = &c->messages[1];
    CHECK_STR(m->name, "bob");
    CHECK_INT(m->part_count, 5);
    CHECK_STR(m->parts[1].media_type, "image/png");
    CHECK_STR(m->parts[1].data, "AAAA");
    CHECK_STR(m->parts[1].detail, "low");
    CHECK_STR(m->parts[2].url, "https://x/y.png");
    CHECK_STR(m->parts[3].media_type, "audio/mp3");
    CHECK_STR(m->parts[4].media_type, "application/pdf");
    CHECK_STR(m->parts[4].data, "CCCC");
    CHECK_STR(m->parts[4].file_name, "a.pdf");
    CHECK_INT(c->images, 2);
    CHECK_INT(c->image_urls, 1);
    CHECK_INT(c->audios, 1);
    CHECK_INT(c->files, 1);
    m = &c->messages[2];
    CHECK_INT(m->part_count, 3);
    CHECK_INT(m->parts[1].kind, PART_REASONING);
    CHECK_INT(m->parts[2].kind, PART_REFUSAL);
    CHECK_STR(m->tool_calls[0].name, "f");
    CHECK_STR(c->messages[3].tool_call_id, "c1");
    harness_deinit(&h);
}

TEST(reads_settings)
{
    struct harness h;
    harness_init(&h);
    ASK(&h, everything);
    REQUIRE(h.err == OK);
    const struct chat *c = &h.chat;
    CHECK(c->stream && c->include_usage && c->logprobs && c->has_logit_bias && c->other_modality);
    CHECK_INT(c->max_tokens, 7);
    CHECK_INT(c->n, 2);
    CHECK_INT(c->seed, -3);
    CHECK_INT(c->top_k, 40);
    CHECK_INT(c->stop_count, 2);
    CHECK_INT(c->tool_count, 1);
    CHECK_INT(c->tools[0].strict, 1);
    CHECK_INT(c->tool_choice, TOOL_CHOICE_NAMED);
    CHECK_STR(c->tool_choice_name, "f");
    CHECK_INT(c->parallel_tool_calls, 0);
    CHECK_INT(c->format, FORMAT_JSON_SCHEMA);
    CHECK_INT(c->schema_strict, 0);
    CHECK_STR(c->reasoning_effort, "high");
    CHECK_STR(c->priced_field, "");
    harness_deinit(&h);
}

TEST(defaults)
{
    struct harness h;
    harness_init(&h);
    ASK(&h, "{\"model\":\"a\"," MESSAGES "}");
    CHECK_INT(h.chat.max_tokens, -1);
    CHECK_INT(h.chat.n, 1);
    CHECK_INT(h.chat.parallel_tool_calls, -1);
    CHECK(!h.chat.stream && !h.chat.include_usage && !h.chat.has_temperature && !h.chat.has_seed);
    CHECK_INT(h.chat.text_bytes, 2);
    harness_deinit(&h);
}

TEST(legacy_functions_are_tools)
{
    struct harness h;
    harness_init(&h);
    ASK(&h,
        "{\"model\":\"a\",\"messages\":[{\"role\":\"assistant\",\"content\":null,\"function_call\":"
        "{\"name\":"
        "\"f\",\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\",\"content\":\"1\"}],"
        "\"functions\":[{\"name\":\"f\"},{\"name\":\"g\"}],\"function_call\":{\"name\":\"g\"}}");
    REQUIRE(h.err == OK);
    CHECK_INT(h.chat.tool_count, 2);
    CHECK_STR(h.chat.tools[1].name, "g");
    CHECK_INT(h.chat.tool_choice, TOOL_CHOICE_NAMED);
    CHECK_STR(h.chat.tool_choice_name, "g");
    CHECK_INT(h.chat.messages[0].tool_call_count, 1);
    CHECK_INT(h.chat.messages[1].role, ROLE_TOOL);
    harness_deinit(&h);
}

TEST(fields_with_a_price_are_named)
{
    static const struct {
        const char *field, *named;
    } fields[] = {
        {"\"models\":[\"x\"]", "models"},
        {"\"provider\":{\"order\":[]}", "provider"},
        {"\"plugins\":[]", "plugins"},
        {"\"web_search_options\":{}", "web_search_options"},
        {"\"service_tier\":\"priority\"", "service_tier"},
        {"\"service_tier\":\"flex\"", "service_tier"},
        {"\"service_tier\":\"auto\"", ""},
        {"\"service_tier\":null", ""},
        {"\"search_parameters\":{}", "search_parameters"},
        {"\"tools\":[{\"type\":\"web_search\"}]", "tools"},
        {"\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"x\"}}]", ""},
        {"\"prediction\":{}", ""},
    };
    struct harness h;
    harness_init(&h);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"model\":\"a\"," MESSAGES ",%s}", fields[i].field);
        ASK(&h, body);
        CHECK_INT(h.err, OK);
        CHECK_STR(h.chat.priced_field, fields[i].named);
    }
    harness_deinit(&h);
}

TEST(all_text_counts)
{
    struct harness h;
    harness_init(&h);
    ASK(&h, "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"12345678\"},{\"role\":"
            "\"assistant\","
            "\"content\":\"1234\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"ab\","
            "\"arguments\":"
            "\"123456\"}}]}]}");
    CHECK_INT(h.chat.text_bytes, 8 + 4 + 2 + 6);
    uint64_t without = h.chat.text_bytes;
    ASK(&h, "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"12345678\"},{\"role\":"
            "\"assistant\","
            "\"content\":\"1234\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"ab\","
            "\"arguments\":"
            "\"123456\"}}]}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"parameters\":"
            "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"description\":"
            "\"a city\"}}}}}]}");
    CHECK(h.chat.text_bytes > without + 60);
    CHECK_INT(estimate_tokens(9, 2), 3 + 8);
    harness_deinit(&h);
}

CHECK_MAIN
