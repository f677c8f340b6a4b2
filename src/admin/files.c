/* files.c - the dashboard's files: few, embedded, already compressed.
 *
 * They need no sign-in and tell nothing. Names under /assets/ carry a hash of what is in them, so a
 * browser may keep those for good. */
#include "admin/files.h"

#include "admin/call.h"
#include "path/pages.h"

/* No script, style, font or request but the dashboard's own, and no frame around it. */
#define POLICY                                                                                     \
    "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src "   \
    "'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "     \
    "frame-ancestors 'none'\r\nx-content-type-options: nosniff\r\nreferrer-policy: "               \
    "no-referrer\r\n"

static const struct {
    const char *ending, *type;
    bool compressed; /* is worth it */
} types[] = {{".html", "text/html; charset=utf-8", true},
             {".js", "text/javascript; charset=utf-8", true},
             {".css", "text/css; charset=utf-8", true},
             {".svg", "image/svg+xml", true},
             {".json", "application/json", true},
             {".woff2", "font/woff2", false},
             {".png", "image/png", false},
             {".md", "text/plain; charset=utf-8", true}, /* licences */
             {"", "text/plain; charset=utf-8", true}};

static const struct embedded_file *find(str path)
{
    if (str_eq(path, STR("/")))
        path = STR("/index.html");
    for (const struct embedded_file *f = relay_dashboard; f->path != NULL; f++) {
        if (str_eq(path, str_of_c(f->path)))
            return f;
    }
    return NULL;
}

/* `gzip` as one of the codings, and not with q=0. */
static bool takes_gzip(const struct exchange *x)
{
    str rest = exchange_header(x, HEADER_ACCEPT_ENCODING), one, name, weight;
    while (rest.len > 0) {
        (void)str_cut(rest, ',', &one, &rest);
        (void)str_cut(str_trim(one), ';', &name, &weight);
        weight = str_trim(weight);
        if (str_eq_nocase(str_trim(name), STR("gzip")))
            return !(str_eq(weight, STR("q=0")) || str_starts(weight, STR("q=0.0")));
    }
    return false;
}

static void send(struct worker *w, struct exchange *x, const struct embedded_file *f)
{
    str path = str_of_c(f->path);
    size_t t = 0;
    while (!str_ends(path, str_of_c(types[t].ending)))
        t++;
    bool gzip = types[t].compressed && takes_gzip(x);
    struct buf *head = &w->scratch;
    buf_clear(head);
    (void)buf_printf(head, "content-type: %s\r\ncache-control: %s\r\n" POLICY "%s%s", types[t].type,
                     str_starts(path, STR("/assets/")) ? "public, max-age=31536000, immutable"
                                                       : "no-cache",
                     types[t].compressed ? "vary: accept-encoding\r\n" : "",
                     gzip ? "content-encoding: gzip\r\n" : "");
    const unsigned char *bytes = gzip ? f->gzip : f->plain;
    exchange_reply(x, 200, buf_str(head),
                   str_of((const char *)bytes, gzip ? *f->gzip_bytes : *f->plain_bytes));
}

bool files_serve(struct worker *w, struct exchange *x)
{
    const struct embedded_file *f = find(x->path);
    bool reads = str_eq(x->method, STR("GET")) || str_eq(x->method, STR("HEAD"));
    if (f == NULL || !reads)
        return false;
    if (page_host_may_ask(x))
        send(w, x, f);
    else
        exchange_reply(x, 403, STR("content-type: text/plain; charset=utf-8\r\n"),
                       STR("This page answers only to a loopback Host.\n"));
    return true;
}
