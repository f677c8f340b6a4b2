/* OpenAI's Responses as a door: what a client may ask, and what is refused by name. */
#include "harness.h"

static void ask(struct harness *h, const char *body)
{
    harness_init(h);
    h->door = &dialect_responses;
    harness_ask(h, s(body));
}

#define ASK(more)   "{\"model\":\"a\",\"input\":\"x\"," more "}"
#define INPUT(item) "{\"model\":\"a\",\"input\":[" item "]}"

static const struct {
    const char *body, *param;
} wrong[] = {
    {"{\"input\":\"x\"}", "model"},
    {"{\"model\":\"\",\"input\":\"x\"}", "model"},
    {"{\"model\":7,\"input\":\"x\"}", "model"},
    {"{\"model\":\"a\"}", "input"},
    {"{\"model\":\"a\",\"input\":null}", "input"},
    {"{\"model\":\"a\",\"input\":[]}", "input"},
    {"{\"model\":\"a\",\"input\":7}", "input"},
    {"{\"model\":\"a\",\"model\":\"b\",\"input\":\"x\"}", "model"},
    {ASK("\"instructions\":7"), "instructions"},
    {ASK("\"stream\":\"yes\""), "stream"},
    {ASK("\"max_output_tokens\":0"), "max_output_tokens"},
    {ASK("\"max_output_tokens\":1.5"), "max_output_tokens"},
    {ASK("\"temperature\":-1"), "temperature"},
    {ASK("\"top_p\":2"), "top_p"},
    {ASK("\"metadata\":[]"), "metadata"},
    {ASK("\"store\":1"), "store"},
    {ASK("\"user\":1"), "user"},
    {ASK("\"parallel_tool_calls\":1"), "parallel_tool_calls"},
    {ASK("\"service_tier\":1"), "service_tier"},
    {ASK("\"truncation\":1"), "truncation"},
    {ASK("\"stream_options\":1"), "stream_options"},
    {ASK("\"reasoning\":\"high\""), "reasoning"},
    {ASK("\"reasoning\":{\"effort\":1}"), "reasoning.effort"},
    {ASK("\"text\":7"), "text"},
    {ASK("\"text\":{\"format\":\"json\"}"), "text.format"},
    {ASK("\"text\":{\"format\":{\"type\":\"xml\"}}"), "text.format.type"},
    {ASK("\"text\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}}}"), "text.format.name"},
    {ASK("\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\"}}"), "text.format.schema"},
    {ASK("\"tools\":{}"), "tools"},
    {ASK("\"tools\":[7]"), "tools[0]"},
    {ASK("\"tools\":[{\"type\":\"function\"}]"), "tools[0].name"},
    {ASK("\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":[]}]"),
     "tools[0].parameters"},
    {ASK("\"tool_choice\":7"), "tool_choice"},
    {ASK("\"tool_choice\":\"any\""), "tool_choice"},
    {ASK("\"tool_choice\":{\"type\":\"function\"}"), "tool_choice.name"},
    {ASK("\"include\":\"x\""), "include"},
    {ASK("\"include\":[7]"), "include[0]"},
    {ASK("\"routing\":7"), "routing"},
    {INPUT("7"), "input[0]"},
    {INPUT("{\"role\":\"user\"}"), "input[0].content"},
    {INPUT("{\"role\":\"robot\",\"content\":\"x\"}"), "input[0].role"},
    {INPUT("{\"type\":7}"), "input[0].type"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"hologram\"}]}"),
     "input[0].content[0].type"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}"),
     "input[0].content[0].text"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}"),
     "input[0].content[0].image_url"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
           "\"data:image/png,x\"}]}"),
     "input[0].content[0].image_url"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_file\"}]}"),
     "input[0].content[0].file_data"},
    {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{}}]}"),
     "input[0].content[0].input_audio.data"},
    {INPUT("{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"\"}"), "input[0].call_id"},
    {INPUT("{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":{}}"),
     "input[0].arguments"},
    {INPUT("{\"type\":\"function_call_output\",\"call_id\":\"1\"}"), "input[0].output"},
    {INPUT("{\"type\":\"function_call_output\",\"output\":\"1\"}"), "input[0].call_id"},
    {INPUT("{\"type\":\"reasoning\",\"encrypted_content\":7}"), "input[0].encrypted_content"},
};

TEST(what_is_wrong_is_named)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct harness h;
        ask(&h, wrong[i].body);
        check_that(h.err == ERR_INVALID_REQUEST, wrong[i].body, 0, "is refused");
        CHECK_STR(h.param, wrong[i].param);
        CHECK(h.why.len > 0);
        harness_deinit(&h);
    }
}

/* What needs something stored, or a tool that OpenAI itself runs. */
TEST(what_a_stateless_door_cannot_do)
{
    static const struct {
        const char *body, *param, *why;
    } bodies[] = {
        {ASK("\"previous_response_id\":\"resp_1\""), "previous_response_id", "stores none"},
        {ASK("\"conversation\":\"conv_1\""), "conversation", "stores none"},
        {ASK("\"conversation\":{\"id\":\"conv_1\"}"), "conversation", "stores none"},
        {ASK("\"background\":true"), "background", "at once"},
        {ASK("\"prompt\":{\"id\":\"pmpt_1\"}"), "prompt", "stores none"},
        {ASK("\"tools\":[{\"type\":\"web_search\"}]"), "tools[0].type", "runs no tools"},
        {ASK("\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"mcp\"}]"),
         "tools[1].type", "runs no tools"},
        {ASK("\"tool_choice\":{\"type\":\"file_search\"}"), "tool_choice.type", "runs no tools"},
        {ASK("\"include\":[\"message.output_text.logprobs\"]"), "include[0]", "log prob"},
        {ASK("\"top_logprobs\":3"), "top_logprobs", "log prob"},
        {INPUT("{\"type\":\"item_reference\",\"id\":\"msg_1\"}"), "input[0].type", "store: false"},
        {INPUT("{\"type\":\"web_search_call\",\"id\":\"ws_1\"}"), "input[0].type", "function_call"},
        {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"file_id\":\"f\"}]}"),
         "input[0].content[0].file_id", "data: URL"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct harness h;
        ask(&h, bodies[i].body);
        CHECK_INT(h.err, ERR_INVALID_REQUEST);
        CHECK_STR(h.param, bodies[i].param);
        check_that(str_find(h.why, s(bodies[i].why), 0) != SIZE_MAX, bodies[i].body, 0, "says why");
        harness_deinit(&h);
    }
}

TEST(what_says_nothing_is_taken)
{
    struct harness h;
    ask(&h, ASK("\"previous_response_id\":null,\"conversation\":null,\"background\":false,"
                "\"prompt\":null,\"store\":true,\"include\":[\"reasoning.encrypted_content\"],"
                "\"top_logprobs\":0,\"max_tool_calls\":3,\"something_new\":{\"a\":1},"
                "\"truncation\":\"auto\",\"stream_options\":{\"include_obfuscation\":false}"));
    CHECK_INT(h.err, OK);
    CHECK_INT(h.chat.message_count, 1);
    CHECK_INT(h.chat.max_tokens, -1);
    CHECK(h.chat.door == &dialect_responses);
    harness_deinit(&h);
}

TEST(settings)
{
    struct harness h;
    ask(&h, ASK("\"stream\":true,\"max_output_tokens\":9,\"temperature\":0.5,\"top_p\":0.25,"
                "\"user\":\"u\",\"service_tier\":\"flex\",\"parallel_tool_calls\":false,"
                "\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},\"tools\":[{\"type\":"
                "\"function\",\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"a\":1},"
                "\"strict\":true},{\"type\":\"function\",\"name\":\"g\",\"parameters\":null}],"
                "\"tool_choice\":{\"type\":\"function\",\"name\":\"g\"},\"text\":{\"format\":{"
                "\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{},\"strict\":false}}"));
    CHECK_INT(h.err, OK);
    const struct chat *c = &h.chat;
    CHECK(c->stream && c->include_usage && c->has_temperature && c->has_top_p);
    CHECK_INT(c->max_tokens, 9);
    CHECK_STR(c->user, "u");
    CHECK_STR(c->priced_field, "service_tier");
    CHECK_INT(c->parallel_tool_calls, 0);
    CHECK_STR(c->reasoning_effort, "low");
    CHECK_INT(c->tool_count, 2);
    CHECK_INT(c->tools[0].strict, 1);
    CHECK_INT(c->tools[1].strict, -1);
    CHECK_INT(c->tool_choice, TOOL_CHOICE_NAMED);
    CHECK_STR(c->tool_choice_name, "g");
    CHECK_INT(c->format, FORMAT_JSON_SCHEMA);
    CHECK_INT(c->schema_strict, 0);
    harness_deinit(&h);
}

/* One turn of the assistant is several items; text behind a call is a turn of its own. */
TEST(items_become_turns)
{
    struct harness h;
    ask(&h, "{\"input\":[{\"role\":\"user\",\"content\":\"q\"},"
            "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"a\"},"
            "{\"type\":\"summary_text\",\"text\":\"b\"}],\"encrypted_content\":\"signature:s\"},"
            "{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"redacted:r\"},"
            "{\"role\":\"assistant\",\"content\":\"t\"},"
            "{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{}\"},"
            "{\"type\":\"function_call\",\"call_id\":\"2\",\"name\":\"f\",\"arguments\":\"{}\"},"
            "{\"type\":\"function_call\",\"call_id\":\"3\",\"name\":\"f\",\"arguments\":\"{}\"},"
            "{\"role\":\"assistant\",\"content\":\"more\"},"
            "{\"type\":\"function_call_output\",\"call_id\":\"1\",\"output\":\"x\"}],"
            "\"model\":\"a\",\"instructions\":\"i\"}");
    REQUIRE(h.err == OK);
    const struct chat_message *m = h.chat.messages;
    REQUIRE(h.chat.message_count == 5);
    CHECK_INT(m[0].role, ROLE_SYSTEM);
    CHECK_STR(m[0].parts[0].text, "i");
    CHECK_INT(m[1].role, ROLE_USER);
    CHECK_INT(m[2].role, ROLE_ASSISTANT);
    CHECK_INT(m[2].part_count, 3);
    CHECK_STR(m[2].parts[0].text, "a\n\nb");
    CHECK_STR(m[2].parts[0].signature, "s");
    CHECK(m[2].parts[1].redacted);
    CHECK_STR(m[2].parts[1].data, "r");
    CHECK_STR(m[2].parts[2].text, "t");
    CHECK_INT(m[2].tool_call_count, 3);
    CHECK_STR(m[2].tool_calls[2].id, "3");
    CHECK_STR(m[3].parts[0].text, "more");
    CHECK_INT(m[4].role, ROLE_TOOL);
    CHECK_STR(m[4].tool_call_id, "1");
    CHECK_INT(m[4].at, 8);
    harness_deinit(&h);
}

TEST(images_and_files)
{
    struct harness h;
    ask(&h, INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
                  "\"data:image/png;base64,AA==\",\"detail\":\"low\"},{\"type\":\"input_image\","
                  "\"image_url\":\"https://x/y\"},{\"type\":\"input_file\",\"filename\":\"a.pdf\","
                  "\"file_data\":\"data:application/pdf;base64,BB==\"},{\"type\":\"input_audio\","
                  "\"input_audio\":{\"data\":\"CC==\",\"format\":\"wav\"}}]}"));
    REQUIRE(h.err == OK);
    const struct chat_part *p = h.chat.messages[0].parts;
    CHECK_STR(p[0].media_type, "image/png");
    CHECK_STR(p[0].data, "AA==");
    CHECK_STR(p[1].url, "https://x/y");
    CHECK_STR(p[2].media_type, "application/pdf");
    CHECK_STR(p[2].file_name, "a.pdf");
    CHECK_STR(p[3].media_type, "audio/wav");
    CHECK_INT(p[3].at, 3);
    CHECK_INT(h.chat.images, 2);
    CHECK_INT(h.chat.image_urls, 1);
    CHECK_INT(h.chat.files, 1);
    CHECK_INT(h.chat.audios, 1);
    harness_deinit(&h);
}

/* A provider that cannot say it: the client reads its own name of the field. */
TEST(what_a_provider_cannot_say_has_this_doors_name)
{
    static const struct {
        const char *body, *param;
    } bodies[] = {
        {INPUT("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"x\"},{\"type\":"
               "\"input_image\",\"image_url\":\"https://x/y\"}]}"),
         "input[0].content[1]"},
        {INPUT("{\"role\":\"user\",\"content\":\"\"}"), "input"},
        {INPUT("{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{\"}"),
         "input"},
        {INPUT("{\"type\":\"function_call_output\",\"call_id\":\"1\",\"output\":\"\"}"),
         "input[0].call_id"},
        {ASK("\"reasoning\":{\"effort\":\"galactic\"}"), "reasoning.effort"},
        {ASK("\"tool_choice\":\"required\""), "tool_choice"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct harness h;
        struct outgoing out = {0};
        struct target target = harness_target("gemini", "gemini", "up");
        ask(&h, bodies[i].body);
        CHECK_INT(h.err, OK);
        CHECK_INT(
            provider_request_out(&dialect_gemini, &h.a, &h.chat, &target, &out, &h.why, &h.param),
            ERR_INVALID_REQUEST);
        CHECK_STR(h.param, bodies[i].param);
        CHECK(str_find(h.why, s(bodies[i].param), 0) == 1);
        harness_deinit(&h);
    }
}

CHECK_MAIN
