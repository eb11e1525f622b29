"""A password of the plan reaches the cloud, and nothing else: no database, no output, no error."""

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fleetos.sim.access import PASSWORD
from tests.cli.play import Play
from tests.stage import COMMAND_TIMEOUT_S, HTTP_TIMEOUT_S, Done

SECRET = "Corr3ct-Horse_77"
GONE = 502


class _Tap(socketserver.ThreadingTCPServer):
    """Passes requests on to the cloud and keeps the bodies of those that change an OS."""

    daemon_threads = True

    def __init__(self, cloud_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.cloud_url = cloud_url
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Pass(BaseHTTPRequestHandler):
    @property
    def tap(self) -> _Tap:
        assert isinstance(self.server, _Tap)
        return self.server

    def do_GET(self) -> None:
        self._pass(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.endswith("/changeos"):
            self.tap.bodies.append(body)
        self._pass(body)

    def _pass(self, body: bytes | None) -> None:
        headers = {name: self.headers[name] for name in ("X-Auth-Token", "Content-Type") if name in self.headers}
        asked = Request(self.tap.cloud_url + self.path, data=body, headers=headers, method=self.command)
        try:
            with urlopen(asked, timeout=HTTP_TIMEOUT_S) as answer:
                status, content = answer.status, answer.read()
        except HTTPError as refused:
            with refused:
                status, content = refused.code, refused.read()
        except OSError:
            status, content = GONE, b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: object = None, size: object = None) -> None:
        del code, size  # said by the cloud's own books


@contextmanager
def tap(cloud_url: str) -> Generator[_Tap]:
    with _Tap(cloud_url) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# A defect in the very moment in which the password is at hand.
BROKEN = """
from fleetos.cloud.ecs import EcsCloud

async def broken(self, server_id, order, secrets, **more):
    raise RuntimeError(f"a defect while sending {order!r} with {secrets!r}")

EcsCloud.change_os = broken

from fleetos.cli.main import main
main()
"""


def crash(play: Play, *arguments: str) -> Done:
    """The command with a defect in it, run until it leaves."""
    script = [sys.executable, "-X", "faulthandler", "-c", BROKEN, *arguments]
    return subprocess.run(
        script, cwd=play.folder, env=play.env, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )


def test_the_password_is_in_the_body_and_nowhere_else(play: Play) -> None:
    names = play.take(3)
    text = play.written(names, attempts=2)
    in_plan = (
        Path(text).read_text(encoding="utf-8").replace("keyname: KeyPair-350b", "adminpass: {env: FLEET_PASSWORD}")
    )
    play.plan(in_plan)
    # Not set yet: all secrets are looked for before a run is made.
    missing = play.called("apply", text, "--yes")
    assert missing.returncode == 65
    assert "FLEET_PASSWORD" in missing.stderr
    play.faults(
        {"on": "changeos", "do": "fail", "servers": [names[0]], "code": "Ecs.0202", "picture": ["old-disk"]},
        {"on": "changeos", "do": "refuse", "servers": [names[1]], "code": "Ecs.0005"},
    )
    with tap(play.url) as between:
        play.env.update(FLEET_PASSWORD=SECRET, FLEETOS_ECS_ENDPOINT=between.url)
        crashed = crash(play, "apply", text, "--yes", "-o", "jsonl")
        assert crashed.returncode == 1, crashed.stderr
        assert "Traceback" in crashed.stderr
        assert "a defect while sending" in crashed.stderr
        assert json.loads(crashed.stdout.splitlines()[-1])["error"]["exit_code"] == 1
        began = play.begin("resume")
        began.until("target.changing")
        command = Path(f"/proc/{began.process.pid}/cmdline").read_bytes()
        began.kill()
        done = play.fleetos("resume", began.run_id)
        assert done.returncode in (10, 22), done.stderr
        # Without this nothing would be proven.
        assert len(between.bodies) >= len(names)
        assert all(SECRET.encode() in body for body in between.bodies)
    outputs = [command, repr(began.events).encode()]
    for one in (missing, crashed, done, play.called("events"), play.called("retry", began.run_id, "-o", "json")):
        outputs += [one.stdout.encode(), one.stderr.encode()]
    kept = play.database.read_bytes()
    assert b"FLEET_PASSWORD" in kept, "the place of the password is kept, so the file is the right one"
    outputs += [file.read_bytes() for file in (play.folder / "state").rglob("*") if file.is_file()]
    for secret in (SECRET, PASSWORD):
        assert not [output[:200] for output in outputs if secret.encode() in output]
