/* certs.h - a certificate authority of the test's own, and certificates from it, in a temporary
 * folder. */
#ifndef RELAY_TESTS_UNIT_NET_CERTS_H
#define RELAY_TESTS_UNIT_NET_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "rig.h"

struct certs {
    char folder[64], ca[96], cert[96], key[96], other_cert[96], other_key[96];
    EVP_PKEY *ca_key;
    X509 *ca_x509;
};

static inline void certs_extend(X509 *to, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(e != NULL);
    X509_add_ext(to, e, -1);
    X509_EXTENSION_free(e);
}

/* Signed by `issuer` (NULL: by itself, as an authority). */
static inline X509 *certs_issue(X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key, const char *name,
                                const char *names)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x),
                     issuer == NULL ? 1 : (long)(clock_mono_ns() & 0xffffff) + 2);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x));
    certs_extend(x, issuer != NULL ? issuer : x, NID_basic_constraints,
                 issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (names != NULL) {
        certs_extend(x, issuer, NID_subject_alt_name, names);
    }
    CHECK(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

static inline void certs_save(const char *path, X509 *x, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    if (CHECK(f != NULL)) {
        CHECK(x != NULL ? PEM_write_X509(f, x)
                        : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
        fclose(f);
    }
}

static inline void certs_make(struct certs *c, const char *cert, const char *key, const char *names)
{
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = certs_issue(c->ca_x509, c->ca_key, k, "relay test", names);
    certs_save(cert, x, NULL);
    certs_save(key, NULL, k);
    X509_free(x);
    EVP_PKEY_free(k);
}

static inline void certs_open(struct certs *c)
{
    snprintf(c->folder, sizeof c->folder, "/tmp/relay-certs-XXXXXX");
    REQUIRE(mkdtemp(c->folder) != NULL);
    snprintf(c->ca, sizeof c->ca, "%s/ca", c->folder);
    snprintf(c->cert, sizeof c->cert, "%s/cert", c->folder);
    snprintf(c->key, sizeof c->key, "%s/key", c->folder);
    snprintf(c->other_cert, sizeof c->other_cert, "%s/cert2", c->folder);
    snprintf(c->other_key, sizeof c->other_key, "%s/key2", c->folder);
    c->ca_key = EVP_EC_gen("P-256");
    c->ca_x509 = certs_issue(NULL, c->ca_key, c->ca_key, "relay test authority", NULL);
    certs_save(c->ca, c->ca_x509, NULL);
    certs_make(c, c->cert, c->key, "DNS:localhost,IP:127.0.0.1");
    certs_make(c, c->other_cert, c->other_key, "DNS:elsewhere.example");
}

static inline void certs_close(struct certs *c)
{
    const char *const files[] = {c->ca, c->cert, c->key, c->other_cert, c->other_key};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        unlink(files[i]);
    }
    rmdir(c->folder);
    X509_free(c->ca_x509);
    EVP_PKEY_free(c->ca_key);
}

#endif
