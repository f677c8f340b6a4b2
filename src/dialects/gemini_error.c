/* gemini_error.c - what a refusal of Google's means, where it differs from everybody else's.
 *
 * The body's shapes and the wait in RetryInfo are read like all others (openai_error.c). Its own: a
 * bad key is 400, "you exceeded your current quota" is said of a limit per minute as well as of one
 * per day, and only the violated quota's name tells them apart; 404 is said of models only. */
#include "dialects/gemini.h"
#include "dialects/openai.h"

static yyjson_val *error_of(struct arena *a, str body)
{
    yyjson_val *root = json_parse(a, str_trim(body), NULL);
    return json_get(yyjson_is_arr(root) ? yyjson_arr_get_first(root) : root, "error");
}

static yyjson_val *detail_of(yyjson_val *error, str type)
{
    size_t i, n;
    yyjson_val *detail;
    yyjson_val *details = json_get(error, "details");
    yyjson_arr_foreach(details, i, n, detail)
    {
        if (str_ends(json_str(json_get(detail, "@type")), type))
            return detail;
    }
    return NULL;
}

/* A quota of the day is not open again in a minute: nothing but money or midnight helps. */
static bool is_of_the_day(yyjson_val *error)
{
    size_t i, n;
    yyjson_val *violation;
    yyjson_val *violations = json_get(detail_of(error, STR("QuotaFailure")), "violations");
    yyjson_arr_foreach(violations, i, n, violation)
    {
        if (str_find(json_str(json_get(violation, "quotaId")), STR("PerDay"), 0) != SIZE_MAX)
            return true;
    }
    return false;
}

static bool says(str message, const char *phrase)
{
    return str_find(message, str_of_c(phrase), 0) != SIZE_MAX;
}

void gemini_error_in(struct arena *a, const struct target *target, int status, str body,
                     struct provider_error *out)
{
    openai_error_in(a, target, status, body, out);
    yyjson_val *error = error_of(a, body);
    str reason = json_str(json_get(detail_of(error, STR("ErrorInfo")), "reason"));
    yyjson_val *field =
        yyjson_arr_get_first(json_get(detail_of(error, STR("BadRequest")), "fieldViolations"));
    if (out->param.len == 0)
        out->param = json_str(json_get(field, "field"));
    if (status == 429)
        out->kind = is_of_the_day(error) ? REFUSAL_QUOTA : REFUSAL_RATE;
    else if (str_starts(reason, STR("API_KEY_")) || says(out->message, "API key not valid") ||
             says(out->message, "API key expired"))
        out->kind = REFUSAL_CREDENTIAL;
    else if (status == 400 && says(out->message, "User location is not supported"))
        out->kind = REFUSAL_MODERATION; /* the region: this request only */
    else if (status == 400 && (says(out->message, "maximum number of tokens allowed") ||
                               says(out->message, "input token count")))
        out->kind = REFUSAL_CONTEXT;
    else if (status == 400 && out->kind == REFUSAL_REQUEST &&
             (says(out->message, "is unsupported") || says(out->message, "is not enabled")))
        out->kind = REFUSAL_FIELD;
}
