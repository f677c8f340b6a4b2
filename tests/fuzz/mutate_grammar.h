/* mutate_grammar.h - what requests, answers and events of all dialects are made of, for the
 * mutators: whole requests, members of objects, elements of lists, values that are at the edge of a
 * type. Of a field that Relay reads there is at least one member here. */
#ifndef RELAY_TESTS_FUZZ_MUTATE_GRAMMAR_H
#define RELAY_TESTS_FUZZ_MUTATE_GRAMMAR_H

#define MUTATE_PICK(m, from) mutate_pick(m, from, sizeof(from) / sizeof((from)[0]))

static const char *const mutate_requests[] = {
    "{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
    "{\"model\":\"a\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
    "{\"model\":\"a\",\"input\":\"x\"}",
    "{\"model\":\"a\",\"input\":[{\"role\":\"user\",\"content\":[]}]}",
    "{\"model\":\"a\",\"input\":[\"x\",\"y\"],\"encoding_format\":\"base64\",\"dimensions\":8}",
};

static const char *const mutate_values[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "0.5",
    "2e3",
    "1e999",
    "-0",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"data:image/png;base64,AAAA\"",
    "\"https://example.com/a.png\"",
    "\"auto\"",
    "\"none\"",
    "\"required\"",
    "\"base64\"",
    "\"high\"",
    "\"stop\"",
    "\"tool_use\"",
    "\"text\"",
    "\"assistant\"",
    "\"developer\"",
    "[]",
    "{}",
    "[[]]",
    "[\"a\",1,null]",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"]}",
};

static const char *const mutate_members[] = {
    "\"max_tokens\":1",
    "\"max_completion_tokens\":1",
    "\"max_output_tokens\":16",
    "\"temperature\":0",
    "\"temperature\":1.5",
    "\"top_p\":0.5",
    "\"top_k\":4",
    "\"n\":2",
    "\"seed\":1",
    "\"stop\":[\"a\",\"b\"]",
    "\"stop_sequences\":[\"a\"]",
    "\"logprobs\":true",
    "\"top_logprobs\":2",
    "\"logit_bias\":{\"50256\":-100}",
    "\"presence_penalty\":1",
    "\"frequency_penalty\":-1",
    "\"stream\":true",
    "\"stream_options\":{\"include_usage\":true}",
    "\"store\":true",
    "\"user\":\"u\"",
    "\"metadata\":{\"tag\":\"v\",\"user_id\":\"u\"}",
    "\"service_tier\":\"flex\"",
    "\"reasoning_effort\":\"low\"",
    "\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"}",
    "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}",
    "\"response_format\":{\"type\":\"json_object\"}",
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,"
    "\"schema\":{\"type\":\"object\"}}}",
    "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{}}}",
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"
    "\"object\"}}}]",
    "\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}}]",
    "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{}}]",
    "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
    "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}",
    "\"tool_choice\":\"required\"",
    "\"parallel_tool_calls\":false",
    "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
    "\"arguments\":"
    "\"{}\"}}]",
    "\"tool_call_id\":\"c\"",
    "\"name\":\"f\"",
    "\"refusal\":\"no\"",
    "\"reasoning_content\":\"r\"",
    "\"cache_control\":{\"type\":\"ephemeral\"}",
    "\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}]",
    "\"instructions\":\"i\"",
    "\"input\":\"x\"",
    "\"previous_response_id\":\"r\"",
    "\"background\":true",
    "\"truncation\":\"auto\"",
    "\"dimensions\":8",
    "\"encoding_format\":\"base64\"",
    "\"routing\":{\"max_latency_ms\":600,\"min_quality\":50,\"max_cost_usd\":0.01,\"deadline_ms\":"
    "1000,\"only\":[\"groq\"],\"ignore\":[\"ollama\"],\"models\":[\"a/b\"],\"fallbacks\":true,"
    "\"strict\":false}",
    "\"cache\":{\"mode\":\"semantic\",\"ttl_s\":60,\"threshold\":0.9,\"namespace\":\"n\"}",
    "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"prompt_tokens_details\":{"
    "\"cached_tokens\":2},\"completion_tokens_details\":{\"reasoning_tokens\":1},\"cost\":0.1}",
    "\"usage\":{\"input_tokens\":5,\"output_tokens\":3,\"cache_read_input_tokens\":1,"
    "\"cache_creation_input_tokens\":2}",
    "\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":3,\"thoughtsTokenCount\":"
    "1}",
    "\"finish_reason\":\"length\"",
    "\"stop_reason\":\"max_tokens\"",
    "\"finishReason\":\"SAFETY\"",
    "\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":5,\"eval_count\":3",
    "\"functionCall\":{\"name\":\"f\",\"args\":{}}",
    "\"thought\":true",
    "\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"rate_limit_exceeded\"}",
    "\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.1,-2e-3]}]",
};

static const char *const mutate_elements[] = {
    "{\"role\":\"system\",\"content\":\"s\"}",
    "{\"role\":\"user\",\"content\":\"x\"}",
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
    "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]}",
    "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}",
    "{\"type\":\"text\",\"text\":\"x\"}",
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\",\"detail\":"
    "\"low\"}}",
    "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"
    "\"AAAA\"}}",
    "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}",
    "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
    "pdf;base64,AAAA\"}}",
    "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":1}}",
    "{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"is_error\":true,\"content\":[{\"type\":"
    "\"text\",\"text\":\"r\"}]}",
    "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"}",
    "{\"type\":\"redacted_thinking\",\"data\":\"AAAA\"}",
    "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":"
    "\"d\"}}",
    "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":"
    "\"x\",\"annotations\":[]}]}",
    "{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,AAAA\",\"detail\":\"auto\"}",
    "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}",
    "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"r\"}",
    "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"t\"}]}",
    "{\"type\":\"web_search_preview\"}",
    "{\"text\":\"x\",\"thought\":true}",
    "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}}",
    "{\"index\":1,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}",
    "{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}",
    "\"x\"",
    "[1,2]",
    "7",
};

#endif
