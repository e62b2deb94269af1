"""report.html in a real browser (headless Chromium): no error, no request to anywhere, every picture drawn, tables that sort, readable on
a phone and in dark mode, and nothing that a run's name, label or path says is taken for HTML.

Skipped where there is no Chromium. Commands go through its debugging pipe (Chrome DevTools Protocol), which needs no other package.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PATIENCE, Workspace, fail

SKIPPED = 77
nexus, folder = sys.argv[1], sys.argv[2]
chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if not chromium or b"snap" in Path(chromium).read_bytes()[:2000]:  # Ubuntu's package is a script that asks for a snap
    print("no Chromium here: report.html is not opened in a browser")
    sys.exit(SKIPPED)

EVIL = "<img src=x onerror='window.hacked=1'>\"&amp;<script>window.hacked=1</script>"


class Browser:
    """One page of one browser."""

    def __init__(self, profile):
        to_browser, self.requests = os.pipe()
        self.answers, from_browser = os.pipe()

        def as_3_and_4():
            # Via high numbers: either may be the other's target.
            os.dup2(to_browser, 203), os.dup2(from_browser, 204)
            os.dup2(203, 3), os.dup2(204, 4)

        self.process = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}", "--remote-debugging-pipe",
             "about:blank"], preexec_fn=as_3_and_4, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser), os.close(from_browser)
        self.events, self.number, self.session, self.rest = [], 0, None, b""
        target = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def receive(self):
        while b"\0" not in self.rest:
            more = os.read(self.answers, 1 << 20)
            if not more:
                fail(f"the browser ended with {self.process.wait(timeout=PATIENCE)}")
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    fail(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        self.events = []
        self.send("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())

    def evaluate(self, expression):
        answer = self.send("Runtime.evaluate", expression=f"JSON.stringify({expression})", awaitPromise=True)
        if "exceptionDetails" in answer:
            fail(f"{expression}: {answer['exceptionDetails']}")
        return json.loads(answer["result"].get("value", "null"))

    def close(self):
        self.process.kill()
        self.process.wait(timeout=PATIENCE)


work = Workspace(nexus, folder)
runs = []
for name in ("grown", "other"):
    work.train_to_end(work.campaign(name, steps_per_stage=4))
    runs.append(work.folder / name)
# A folder, facts and a label that would all do harm if they were not escaped.
evil = work.folder / "folder <b onclick='1'>&\"x"
runs[1].rename(evil)
facts = json.loads((evil / "run.json").read_text())
facts["name"] = EVIL
facts["launches"][0]["host"] = EVIL
(evil / "run.json").write_text(json.dumps(facts))
out = work.folder / "report"
work.call("report", runs[0], evil, "--baseline", runs[0], "--label", f"{evil}={EVIL}", "--out", out)
pictures = sorted(path.stem for path in out.glob("*.svg"))

with tempfile.TemporaryDirectory() as profile:
    browser = Browser(profile)
    browser.open(f"file://{out}/report.html")

    # Luminance by WCAG 2; what paints a word and what lies behind it.
    browser.evaluate("""(() => {
      const parts = c => c.match(/[\\d.]+/g).map(Number);
      const luminance = c => parts(c).slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (!/, 0\\)$/.test(c) && c !== "transparent") return c; } return "rgb(255, 255, 255)"; };
      window.contrast = e => { const style = getComputedStyle(e), a = luminance(e.closest("svg") ? style.fill : style.color),
        b = luminance(behind(e.parentElement)); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
      window.words = () => [...document.querySelectorAll("h1, h2, p, td, th button, summary, figcaption, .card b, svg text")]
        .filter(e => e.textContent.trim() && e.getClientRects().length);
      return 1; })()""")

    def require(condition, text):
        if not condition:
            fail(text)

    def require_readable(what):
        worst = browser.evaluate("""words().map(e => [contrast(e), parseFloat(getComputedStyle(e).fontSize) *
          (e.closest("svg") ? e.closest("svg").getScreenCTM().a : 1), e.textContent.slice(0, 40)])""")
        require(worst, f"{what}: the page has no words")
        contrast = min(worst)
        require(contrast[0] >= 3, f"{what}: contrast of {contrast[0]:.2f} at {contrast[2]!r}")
        small = min(worst, key=lambda row: row[1])
        require(small[1] >= 7, f"{what}: letters of {small[1]:.1f} px at {small[2]!r}")

    require(browser.evaluate("window.hacked === undefined"), "a name was run as a script")
    require(browser.evaluate("document.scripts.length") == 1, "a name became a script")
    require(browser.evaluate("document.querySelectorAll('img, [onclick], [onerror]').length") == 0, "a name became an element")
    require(EVIL in browser.evaluate("document.title"), "the label is not shown as it is")
    require(EVIL in browser.evaluate("document.querySelector('.card:nth-child(2)').textContent"), "the label is not on its card as it is")

    drawn = browser.evaluate("""[...document.querySelectorAll("figure svg")].map(svg => { const box = svg.getBoundingClientRect();
      const marks = [...svg.querySelectorAll("path, use, line, polyline, rect")].filter(e => e.getBoundingClientRect().width > 0);
      return [box.width, box.height, marks.length]; })""")
    require(pictures, "the report has no pictures: python3 here lacks matplotlib")
    require(len(drawn) == len(pictures), f"{len(drawn)} pictures on the page, {len(pictures)} in the folder")
    for width, height, marks in drawn:
        require(width > 300 and height > 100 and marks > 10, f"a picture of {width} x {height} px with {marks} marks")
    require_readable("light")

    def column(table, index):
        return browser.evaluate(f"[...document.querySelectorAll('table')[{table}].tBodies[0].rows].map(r => r.cells[{index}].textContent)")

    def click(table, index):
        browser.evaluate(f"document.querySelectorAll('table')[{table}].querySelectorAll('th button')[{index}].click()")

    # Of every column the first click and the second are each other's reverse, but for ties and for cells without a number.
    shapes = browser.evaluate("[...document.querySelectorAll('table')].map(t => [t.tHead.rows[0].cells.length, t.tBodies[0].rows.length])")
    require(shapes and max(rows for _, rows in shapes) >= 6, f"tables of {shapes}")
    moved = 0
    for table, (columns, rows) in enumerate(shapes):
        for index in range(columns):
            before = column(table, index)
            click(table, index)
            up = column(table, index)
            click(table, index)
            down = column(table, index)
            require(sorted(before) == sorted(up) == sorted(down), f"sorting lost cells of column {index}")
            numbers = [cell for cell in up if any(c.isdigit() for c in cell)]
            require([cell for cell in down if any(c.isdigit() for c in cell)] == numbers[::-1] or len(set(up)) < len(up),
                    f"column {index} of table {table} does not turn round: {up}, {down}")
            moved += up != before or down != before
    require(moved > 3, "no click on a header moved anything")
    headers = browser.evaluate("[...document.querySelectorAll('table')[1].querySelectorAll('th')].map(h => h.textContent)")
    index = next((i for i, header in enumerate(headers) if header.startswith("ppl")), None)
    require(index is not None, f"no column of perplexities: {headers}")
    click(1, index)
    values = [float(cell.split()[0]) for cell in column(1, index) if cell[0].isdigit()]
    require(values == sorted(values) and len(set(values)) >= 2, f"perplexities are not in order: {values}")

    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    require(browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)", "dark mode is not dark")
    require_readable("dark")
    browser.send("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=3, mobile=True)
    wide = browser.evaluate("""[document.documentElement.scrollWidth, [...document.querySelectorAll("main > *")]
      .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))]""")
    require(wide[0] <= 390, f"a phone of 390 px would have to scroll the page to {wide[0]}: {wide[1]}")
    require_readable("on a phone")
    if shot := os.environ.get("NEXUS_TEST_SCREENSHOT"):
        import base64
        Path(shot).write_bytes(base64.b64decode(browser.send("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    trouble = [event for event in browser.events if event.get("method") in
               ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Network.loadingFailed")]
    require(not trouble, f"the browser complains: {trouble}")
    asked = [event["params"]["request"]["url"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
    require(len(asked) == 1 and asked[0].endswith("/report.html"), f"the page asks for {asked}")
    browser.close()
print(f"report.html: {len(drawn)} pictures, {len(shapes)} tables, no error, no request, light, dark and on a phone")
