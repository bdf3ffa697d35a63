"""A headless Chromium, driven over its DevTools protocol: what the tests of the site need of a browser."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path

import websocket  # comes with JupyterLab

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SWITCHES = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
]


def find_browser() -> str | None:
    """The first Chromium on the search path."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab. ``open`` loads a page; ``errors`` then holds what went wrong on it, in words."""

    def __init__(self, program: str, profile: Path):
        command = [program, *SWITCHES, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port, path = self._wait_for(profile / "DevToolsActivePort").split()
        self.count, self.errors, self.loaded = 0, [], False
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=60)
        self.session = None
        tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _wait_for(self, file: Path) -> str:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            if file.exists() and len(file.read_text().split()) == 2:
                return file.read_text()
            time.sleep(0.05)
        self.process.kill()
        raise RuntimeError("Chromium did not start")

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=20)

    def call(self, method: str, **parameters) -> dict:
        """Send one command and return its result; events that come in between are noted."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while (answer := self._receive()).get("id") != self.count:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _receive(self) -> dict:
        message = json.loads(self.socket.recv())
        event, what = message.get("method"), message.get("params", {})
        if event == "Page.loadEventFired":
            self.loaded = True
        elif event == "Runtime.exceptionThrown":
            self.errors.append(str(what["exceptionDetails"].get("exception", what["exceptionDetails"]))[:300])
        elif event == "Runtime.consoleAPICalled" and what["type"] in ("error", "assert"):
            self.errors.append(str([argument.get("value") for argument in what["args"]]))
        elif event == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.errors.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent" and not what["request"]["url"].startswith(("data:", self.home)):
            self.errors.append(f"asks the network for {what['request']['url']}")
        return message

    home = "about:"  # the only place that pages may load from

    def open(self, url: str) -> None:
        """Load a page and wait for its equations."""
        self.errors, self.loaded = [], False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self._receive()
        self.run("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 0) : 0")

    def resize(self, width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def run(self, script: str):
        """The value of a JavaScript expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """The page as a PNG, for the eye."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
