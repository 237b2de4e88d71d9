"""Chromium without a window, driven by its own protocol over two pipes.

Nothing but Python's standard library: the browser reads commands from file
descriptor 3 and writes answers and events to 4, as JSON that ends in a NUL.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
]
TIMEOUT_S = 120


class Failed(Exception):
    """What the browser said, or that it said nothing."""


class Browser:
    """A browser with a profile of its own, and one page."""

    def __init__(self):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            raise Failed("`chromium` is not on this machine: install it, on Debian with `apt-get install chromium`")
        self.profile = tempfile.mkdtemp(prefix="spendbook-page-")
        # Well above 3 and 4, so that neither is overwritten while they are put in place.
        to_read, self.to_write = high_pipe()
        self.to_read, to_write = high_pipe()

        def in_place():
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            preexec_fn=in_place, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self.rest = b""
        self.number = 0
        self.session = None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self.to_write, self.to_read):
            os.close(end)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **parameters):
        """A command, and what it answers; events on the way are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None and not method.startswith("Target."):
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def message(self):
        until = time.monotonic() + TIMEOUT_S
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.to_read], [], [], max(0, until - time.monotonic()))
            part = os.read(self.to_read, 1 << 20) if ready else b""
            if not part:
                raise Failed("the browser ended, or did not answer")
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.message())

    def open(self, url, width=1280, height=900, dark=False, script=True):
        """Loads a page; what went wrong and what was asked for is in `events`."""
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=theme)
        # Another address of the same file would only change the fragment.
        for address in ("about:blank", url):
            self.events.clear()
            self.call("Page.navigate", url=address)
            self.wait_for("Page.loadEventFired")

    def troubles(self):
        """Errors of the console, exceptions, and every address but the page's own."""
        self.evaluate("1")
        found = []
        for event in self.events:
            method, of = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(of["exceptionDetails"].get("exception", {}).get("description") or str(of))
            elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
                found.append(f"console: {of['args']}")
            elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
                found.append(f"log: {of['entry']['text']}")
            elif method == "Network.requestWillBeSent" and of.get("type") != "Document":
                if not of["request"]["url"].startswith("data:"):
                    found.append(f"asked for {of['request']['url']}")
        return found

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Failed(json.dumps(result["exceptionDetails"])[:2000])
        return result["result"].get("value")

    def picture(self, path):
        """The whole page, as high as it is."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def pdf(self):
        """The page, printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])


def high_pipe():
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return high
