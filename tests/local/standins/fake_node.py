"""A node that runs nothing: it lets pods crash as asked and answers the API server's question for their logs."""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local.api_server import ApiServer

NAME = "fake-node"
LAST_WORDS = "cannot open the lock file: read-only file system"


class Logs(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"starting up\n{LAST_WORDS}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Test output is no place for an access log."""


@contextlib.contextmanager
def fake_node(cluster: ApiServer) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Logs)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.pki / "kubelet-server.crt", cluster.pki / "kubelet-server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(node))
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_port}},
    }
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", "node", NAME, "--subresource=status", "--type=merge", f"--patch={patch}")
    try:
        yield
    finally:
        cluster.kubectl("delete", "node", NAME)
        server.shutdown()
        server.server_close()


def crash(cluster: ApiServer, namespace: str, pod: str, container: str) -> None:
    """Puts a pending pod on the node, where its container crashes again and again."""
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/binding"
    cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))
    ended = {"exitCode": 3, "reason": "Error"}
    state = {
        "name": container,
        "image": "none",
        "imageID": "",
        "containerID": "containerd://1",
        "ready": False,
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting"}},
        "lastState": {"terminated": ended},
    }
    patch = json.dumps({"status": {"phase": "Running", "containerStatuses": [state]}})
    cluster.kubectl("patch", "pod", pod, "-n", namespace, "--subresource=status", "--type=merge", f"--patch={patch}")
