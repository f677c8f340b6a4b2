"""nginx for a test: one process, one worker in it, in a folder of its own."""

import shutil
import socket

import pytest

from support import ROOT, Process, free_port, wait_for

UNPACKED = ROOT / "build/deps/nginx/usr/sbin/nginx"
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin") or str(UNPACKED)

CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    log_format wire escape=json '{{"request":"$request","status":$status,"length":"$http_content_length",'
                                '"coding":"$http_transfer_encoding","injected":"$http_x_injected"}}';
    {inside}
}}
"""


def nginx(start, inside, port, name="nginx"):
    """A running nginx with `inside` as its http block, which listens on the port."""
    if not shutil.which(PROGRAM):
        pytest.skip("no nginx here")
    folder = start.path / name
    folder.mkdir()
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, inside=inside))
    process = start.process([PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"], name)

    def listens():
        assert process.is_running(), process.log()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True
        except OSError:
            return False
    wait_for(listens, why=lambda: process.log())
    process.port = port
    return process


def in_front(start, gateway_port, **replace):
    """The file that deploy/ has for nginx before gateways, before this port."""
    port = free_port()
    text = (ROOT / "deploy/nginx/relay.conf.template").read_text()
    for key, value in {"LISTEN": f"127.0.0.1:{port}", "GATEWAY_1": f"127.0.0.1:{gateway_port}",
                       "GATEWAY_2": f"127.0.0.1:{gateway_port} backup", "ACCESS_LOG": "off"}.items():
        text = text.replace("${BALANCER_%s}" % key, value)
    return nginx(start, text, port)


def behind(start, provider_port):
    """A proxy before a provider, which keeps connections to it and notes what it was asked."""
    port = free_port()
    log = start.path / "wire.log"
    server = nginx(start, f"""
        upstream provider {{ server 127.0.0.1:{provider_port}; keepalive 8; }}
        server {{
            listen 127.0.0.1:{port};
            access_log {log} wire;
            location / {{
                proxy_pass http://provider;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_buffering off;
            }}
        }}""", port, name="nginx-behind")
    server.wire = log
    return server
