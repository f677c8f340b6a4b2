"""Requests whose end, or whose path, two programs might see in different places. `K` stands for a client's key."""

import json

GOOD = {"model": "p/small", "messages": [{"role": "user", "content": "x"}]}
BODY = json.dumps(GOOD).encode()
N = len(BODY)
HOST = "Host: 127.0.0.1"
LENGTH = f"Content-Length: {N}"
CODED = "Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n" % (N, BODY)


def framed(key, *lines, body=b"", end="\r\n", first="POST /v1/chat/completions HTTP/1.1"):
    head = [first, f"Authorization: Bearer {key}", "Content-Type: application/json", *lines, "", ""]
    return end.join(head).encode("latin-1") + body


# What Relay refuses with 400 (413 where a size is meant), and closes the connection.
REFUSED = {
    "two lengths that differ": framed("K", HOST, LENGTH, f"Content-Length: {N + 1}", body=BODY),
    "two lengths in one line": framed("K", HOST, f"Content-Length: {N}, {N + 1}", body=BODY),
    "length and chunked": framed("K", HOST, LENGTH, CODED, body=b"0\r\n\r\n" + BODY),
    "chunked and length": framed("K", HOST, CODED, LENGTH, body=BODY),
    "unknown coding": framed("K", HOST, "Transfer-Encoding: xchunked", body=BODY),
    "chunked not last": framed("K", HOST, "Transfer-Encoding: chunked, identity", body=BODY),
    "chunked, then identity, in two lines": framed("K", HOST, CODED, "Transfer-Encoding: identity", body=CHUNKS),
    "chunked behind a vertical tab": framed("K", HOST, "Transfer-Encoding: \x0bchunked", LENGTH, body=BODY),
    "chunked before a space and the colon": framed("K", HOST, "Transfer-Encoding : chunked", LENGTH, body=BODY),
    "chunked in a folded line": framed("K", HOST, "Transfer-Encoding:\r\n chunked", LENGTH, body=BODY),
    "space before the colon": framed("K", HOST, f"Content-Length : {N}", body=BODY),
    "space before the name": framed("K", f" {LENGTH}", HOST, body=BODY),
    "two hosts": framed("K", HOST, "Host: example.com", LENGTH, body=BODY),
    "no host": framed("K", LENGTH, body=BODY),
    "bare LF": framed("K", HOST, LENGTH, body=BODY, end="\n"),
    "obs-fold": framed("K", HOST, "X-A: b\r\n c", LENGTH, body=BODY),
    "negative length": framed("K", HOST, "Content-Length: -1", body=BODY),
    "plus length": framed("K", HOST, f"Content-Length: +{N}", body=BODY),
    "hex length": framed("K", HOST, "Content-Length: 0x10", body=BODY),
    "huge length": framed("K", HOST, "Content-Length: 99999999999999999999999", body=BODY),
    "bad chunk size": framed("K", HOST, CODED, body=b"zz\r\n" + BODY),
    "chunk size in C's way": framed("K", HOST, CODED, body=b"0x%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "negative chunk size": framed("K", HOST, CODED, body=b"-1\r\n" + BODY),
    "huge chunk size": framed("K", HOST, CODED, body=b"fffffffffffffffff\r\n"),
    "chunk without its CRLF": framed("K", HOST, CODED, body=b"5\r\n{\"a\":XX1}\r\n0\r\n\r\n"),
    "chunks with bare LF": framed("K", HOST, CODED, body=b"%x\n%s\n0\n\n" % (N, BODY)),
    "chunk extension with a bare LF": framed("K", HOST, CODED, body=b"%x;a\nb\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "control character in a header": framed("K", HOST, "X-A: b\x01c", LENGTH, body=BODY),
    "NUL in a header": framed("K", HOST, "X-A: b\x00c", LENGTH, body=BODY),
    "bare CR in a header": framed("K", HOST, "X-A: b\rContent-Length: 1", LENGTH, body=BODY),
    "HTTP/1.2": framed("K", HOST, LENGTH, body=BODY).replace(b"HTTP/1.1", b"HTTP/3.9"),
    "HTTP/1.0 chunked": framed("K", HOST, CODED, body=CHUNKS + b"0\r\n\r\n").replace(b"/1.1", b"/1.0"),
    "a length in the trailers": framed("K", HOST, CODED, body=CHUNKS + b"0\r\nContent-Length: 5\r\n\r\n"),
    "absolute form with another host": framed("K", HOST, LENGTH, body=BODY,
                                              first="POST http://example.com/v1/chat/completions HTTP/1.1"),
    "no version": b"GET /v1/models\r\n\r\n",
    "rubbish": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 rubbish\r\n\r\n",
}

# What is right, or harmless, and yet has been read in two ways.
LAWFUL = {
    "chunk extensions": framed("K", HOST, CODED, body=b"%x;a=\"b\"\r\n%s\r\n0;c\r\n\r\n" % (N, BODY)),
    "leading zeros in a chunk size": framed("K", HOST, CODED, body=b"000%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    "a trailer": framed("K", HOST, CODED, body=CHUNKS + b"0\r\nX-Injected: t\r\n\r\n"),
    "an empty chunked body": framed("K", HOST, CODED, body=b"0\r\n\r\n"),
    "HTTP/1.0 that stays": framed("K", HOST, LENGTH, "Connection: keep-alive", body=BODY).replace(b"/1.1", b"/1.0"),
    "a length named as of this hop": framed("K", HOST, LENGTH, "Connection: Content-Length", body=BODY),
    "a key named as of this hop": framed("K", HOST, LENGTH, "Connection: Authorization", body=BODY),
    "a length with an underscore": framed("K", HOST, LENGTH, "Content_Length: 1", body=BODY),
    "a body behind GET": framed("K", HOST, LENGTH, body=BODY, first="GET /v1/models HTTP/1.1"),
    "a length of nothing and a body": framed("K", HOST, "Content-Length: 0", body=BODY),
    "a length beyond the body": framed("K", HOST, f"Content-Length: {N + 3000}", body=BODY),
    "100-continue": framed("K", HOST, LENGTH, "Expect: 100-continue", body=BODY),
    "an upgrade": framed("K", HOST, LENGTH, "Connection: Upgrade", "Upgrade: h2c", body=BODY),
    "line ends in the path": framed("K", HOST, first="GET /v1/models/a%0d%0aX-Injected:%20p HTTP/1.1"),
    "a long head": framed("K", HOST, LENGTH, "X-Long: " + "a" * 7000, body=BODY),
    "a head beyond measure": framed("K", HOST, LENGTH, "X-Long: " + "a" * 100000, body=BODY),
    "an empty line first": b"\r\n" + framed("K", HOST, LENGTH, body=BODY),
}
