/* openai_error.c - what a provider's refusal means, and how a client is told of a failure.
 *
 * Meaning comes from the status first, then from the code and type, and from the message only where
 * providers say nothing else; phrases are from the providers' references and from public reports.
 * Bodies come in many shapes:
 * {"error":{…}}, {"error":"text"}, [{"error":{…}}], {"message"}, {"detail":[…]},
 * {"object":"error",…}, or no JSON at all. */
#include "dialects/openai.h"

#define ERROR_BYTES_MAX  (64u << 10)
#define SEARCH_BYTES_MAX 4096 /* of a message, for phrases */

static const char *const context_phrases[] = {
    "context_length",
    "context length",
    "context window",
    "context_window",
    "exceed_context_size",
    "maximum context",
    "prompt is too long",
    "too many tokens",
    "input is too long",
    "reduce the length",
    NULL,
};
static const char *const quota_phrases[] = {
    "insufficient_quota",
    "insufficient quota",
    "credit_balance",
    "credit balance",
    "insufficient balance",
    "insufficient credits",
    "billing",
    "spend limit",
    "spend_limit",
    "exceeded your current quota",
    NULL,
};
static const char *const moderation_phrases[] = {
    "content_filter",
    "content policy",
    "content_policy",
    "moderation",
    "flagged",
    "safety system",
    "unsupported_country",
    "not supported in your",
    "country, region",
    "data_inspection",
    NULL,
};
static const char *const model_phrases[] = {
    "model_not_found",     "model not found",
    "does not exist",      "no such model",
    "unknown model",       "invalid model",
    "model_not_available", "decommissioned",
    "not a valid model",   NULL,
};
static const char *const field_phrases[] = {
    "unsupported_parameter",
    "unsupported_value",
    "unsupported parameter",
    "unsupported value",
    "unknown_parameter",
    "extra inputs",
    "extra_forbidden",
    "unrecognized request argument",
    "does not support",
    "not supported",
    "unknown name",
    "is not allowed",
    NULL,
};

/* `part` is in lower case. */
static bool has_nocase(str text, str part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if ((text.p[i] == part.p[0] || (text.p[i] ^ 0x20) == part.p[0]) &&
            str_starts_nocase(str_sub(text, i, text.len), part))
            return true;
    return false;
}

static bool says(const struct provider_error *e, const char *const *phrases)
{
    for (; *phrases != NULL; phrases++) {
        str phrase = str_of_c(*phrases);
        str start = str_sub(e->message, 0, SEARCH_BYTES_MAX);
        if (has_nocase(e->code, phrase) || has_nocase(e->type, phrase) || has_nocase(start, phrase))
            return true;
    }
    return false;
}

/* A code may be a number (OpenRouter). */
static str word_of(struct arena *a, yyjson_val *v)
{
    if (yyjson_is_int(v))
        return arena_printf(a, "%lld", (long long)yyjson_get_sint(v));
    return json_str(v);
}

/* {"detail":[{"loc":["body","n"],"msg":"Extra inputs are not permitted"}]} (FastAPI: Mistral,
 * vLLM). */
static void detail_in(struct arena *a, yyjson_val *detail, struct provider_error *out)
{
    if (yyjson_is_str(detail)) {
        out->message = json_str(detail);
        return;
    }
    yyjson_val *first = yyjson_arr_get_first(detail);
    yyjson_val *loc = json_get(first, "loc");
    out->message = json_str(json_get(first, "msg"));
    out->type = json_str(json_get(first, "type"));
    size_t i, n;
    yyjson_val *part;
    yyjson_arr_foreach(loc, i, n, part)
    {
        if (i == 0 && n > 1)
            continue; /* "body" */
        str word = word_of(a, part);
        out->param = out->param.len == 0
                         ? word
                         : arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(out->param), STR_ARG(word));
    }
}

/* "5.289s", "2m59.56s", "20ms", "1h2m": milliseconds, or -1. */
static int64_t duration_ms(str text)
{
    double total_ms = 0;
    size_t at = 0;
    while (at < text.len) {
        size_t from = at;
        while (at < text.len && ((text.p[at] >= '0' && text.p[at] <= '9') || text.p[at] == '.'))
            at++;
        str digits = str_sub(text, from, at);
        if (digits.len > 0 && digits.p[digits.len - 1] == '.')
            digits.len--;
        double number = 0;
        if (!str_to_double(digits, &number))
            break;
        str unit = str_sub(text, at, text.len);
        if (str_starts(unit, STR("ms"))) {
            total_ms += number;
            at += 2;
        } else if (str_starts(unit, STR("s"))) {
            total_ms += number * 1000;
            at++;
        } else if (str_starts(unit, STR("m"))) {
            total_ms += number * 60000;
            at++;
        } else if (str_starts(unit, STR("h"))) {
            total_ms += number * 3600000;
            at++;
        } else {
            break;
        }
    }
    return total_ms > 0 && total_ms < 1e12 ? (int64_t)(total_ms + 0.999) : -1;
}

/* "Please try again in 5.289s", and Google's RetryInfo among error.details. */
static int64_t retry_in(yyjson_val *error, str message)
{
    size_t i, n;
    yyjson_val *detail;
    yyjson_val *details = json_get(error, "details");
    yyjson_arr_foreach(details, i, n, detail)
    {
        str delay = json_str(json_get(detail, "retryDelay"));
        if (delay.len > 0)
            return duration_ms(delay);
    }
    static const str hints[] = {{"try again in ", 13}, {"retry in ", 9}, {"retry after ", 12}};
    for (size_t h = 0; h < sizeof hints / sizeof *hints; h++) {
        size_t at = str_find(message, hints[h], 0);
        if (at != SIZE_MAX)
            return duration_ms(str_sub(message, at + hints[h].len, message.len));
    }
    return -1;
}

static void body_in(struct arena *a, str body, struct provider_error *out)
{
    yyjson_val *root = body.len <= ERROR_BYTES_MAX ? json_parse(a, str_trim(body), NULL) : NULL;
    if (yyjson_is_arr(root))
        root = yyjson_arr_get_first(root);
    yyjson_val *error = json_get(root, "error");
    if (root == NULL) {
        out->message = str_is_utf8(body) ? str_trim(body) : (str){0};
        return;
    }
    yyjson_val *from = yyjson_is_obj(error) ? error : root;
    out->message = yyjson_is_str(error) ? json_str(error) : json_str(json_get(from, "message"));
    out->code = word_of(a, json_get(from, "code"));
    if (out->code.len == 0) /* Anthropic */
        out->code = json_str(json_get(json_get(from, "details"), "error_code"));
    out->type = json_str(json_get(from, "type"));
    if (out->type.len == 0)
        out->type = json_str(json_get(from, "status"));
    out->param = json_str(json_get(from, "param"));
    if (out->message.len == 0)
        detail_in(a, json_get(root, "detail"), out);
    out->retry_after_ms = retry_in(error, out->message);
}

static enum refusal refusal_of(int status, const struct provider_error *e)
{
    /* A redirect is no answer: it is not followed, and no client could. */
    if (status < 400 || status >= 500 || status == 408 || status == 409 || status == 425 ||
        status == 498)
        return REFUSAL_SERVER;
    if (status == 429)
        return says(e, quota_phrases) ? REFUSAL_QUOTA : REFUSAL_RATE;
    if (status == 402)
        return REFUSAL_QUOTA;
    if (status == 403 && says(e, moderation_phrases))
        return REFUSAL_MODERATION;
    if (status == 401 || status == 403)
        return says(e, quota_phrases) ? REFUSAL_QUOTA : REFUSAL_CREDENTIAL;
    /* A path that is not there speaks of no model; it is the base_url that is wrong, and every
     * model of it is out. */
    if (status == 404)
        return REFUSAL_NO_MODEL;
    if (says(e, context_phrases))
        return REFUSAL_CONTEXT;
    if (status == 400 && says(e, quota_phrases))
        return REFUSAL_QUOTA;
    if (status == 400 && says(e, moderation_phrases))
        return REFUSAL_MODERATION;
    if ((status == 400 || status == 422) && says(e, model_phrases))
        return REFUSAL_NO_MODEL;
    if ((status == 400 || status == 422) && says(e, field_phrases))
        return REFUSAL_FIELD;
    return REFUSAL_REQUEST;
}

void openai_error_in(struct arena *a, const struct target *target, int status, str body,
                     struct provider_error *out)
{
    (void)target;
    *out = (struct provider_error){.retry_after_ms = -1};
    body_in(a, body, out);
    out->kind = refusal_of(status, out);
}

static void add_or_null(struct buf *out, const char *name, str value)
{
    buf_add_char(out, '"');
    buf_add(out, str_of_c(name));
    buf_add(out, STR("\":"));
    if (value.len > 0)
        json_add_str(out, value);
    else
        buf_add(out, STR("null"));
}

bool openai_error_out(const struct client_error *error, struct buf *out)
{
    const struct err_info *info = err_info(error->err);
    buf_add(out, STR("{\"error\":{\"message\":"));
    json_add_str(out, error->message.len > 0 ? error->message : str_of_c(info->sentence));
    buf_add_char(out, ',');
    add_or_null(out, "type", error->type.len > 0 ? error->type : str_of_c(info->type));
    buf_add_char(out, ',');
    add_or_null(out, "param", error->param);
    buf_add_char(out, ',');
    add_or_null(out, "code", error->code.len > 0 ? error->code : str_of_c(info->code));
    buf_add(out, STR("},\"relay\":{"));
    add_or_null(out, "id", error->relay_id);
    buf_add_char(out, ',');
    add_or_null(out, "step", error->step);
    buf_add_char(out, ',');
    add_or_null(out, "provider", error->provider);
    buf_add(out, STR("}}"));
    return !out->full;
}
