"""Drives Recon's page in headless Chromium against a quickstart that runs: BINARY DATA SETTINGS...

Each step says in a sentence what must be seen. Pictures for the README are kept in $PICTURES.
"""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

RECON, MARKUP, PICTURES = os.environ["RECON"], os.environ["MARKUP"], pathlib.Path(os.environ["PICTURES"])
BINARY, DATA, SETTINGS = sys.argv[1], sys.argv[2], sys.argv[3:]
PATIENCE_MS = 60_000
WEIGHT_MAX = 300_000
# Bytes of the page and its files, as they came over the wire; what the API answers aside.
WEIGHT = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter((entry) => !entry.name.includes("/api/")).reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""
SIZES = {"wide": {"width": 1280, "height": 860}, "phone": {"width": 390, "height": 780}}

expect.set_options(timeout=PATIENCE_MS)
PICTURES.mkdir(parents=True, exist_ok=True)


def run(*args):
    """allotrope ARGS, which must succeed."""
    done = subprocess.run([BINARY, *SETTINGS, *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"


def put(name, length):
    path = pathlib.Path("source")
    path.write_bytes(os.urandom(length))
    run("sh", "key", "put", f"/vol1/bucket1/{name}", str(path))


@contextlib.contextmanager
def meanwhile(work):
    """Does `work` beside what the page is watched for, again and again with 0, 1, 2… until that is seen."""
    seen = threading.Event()

    def again():
        for number in itertools.count():
            work(number)
            if seen.wait(0.2):
                return

    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        doing = beside.submit(again)
        try:
            yield
        finally:
            seen.set()
        doing.result()


def step(sentence):
    print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)


class Watch:
    """What the page did that it must not."""

    def __init__(self, page):
        self.faults = []
        page.on("console", lambda message: self.console(message))
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.request(request))

    def console(self, message):
        # An answer of 404 or 503 is the API's word for what is not there.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def request(self, request):
        if not request.url.startswith(RECON):
            self.faults.append(f"request to elsewhere: {request.url}")

    def nothing_wrong(self):
        assert not self.faults, self.faults


def accessible(page, what):
    """axe finds nothing to say."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    told = [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found]
    assert not told, f"{what}: " + "\n".join(told)


def no_wider_than_the_screen(page, what):
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{what} is {wider} pixels wider than the screen"


def heading(page, text):
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def picture(page, name):
    page.wait_for_timeout(700)
    page.screenshot(path=str(PICTURES / f"{name}.png"))


def loads(page):
    step("The page loads, weighs little and is calm where nothing is wrong")
    page.goto(RECON)
    heading(page, "Cluster")
    expect(page.get_by_text("Everything is as it should be.")).to_be_visible()
    expect(page.get_by_text("6 of 6 healthy")).to_be_visible()
    weight = page.evaluate(WEIGHT)
    assert 50_000 < weight < WEIGHT_MAX, f"{weight} bytes"
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    print(f"weight {weight} bytes, first paint after {paint:.0f} ms")


def shows_live_figures(page):
    step("Throughput and latency are live while keys are written and read")
    written = page.locator(".legend .accent b").first
    with meanwhile(lambda number: put(f"live/key{number % 6}", 8 << 20)):
        expect(written).to_have_text(re.compile(r"[KM]iB/s"))
    run("sh", "key", "get", "/vol1/bucket1/live/key0", "back")
    expect(page.get_by_role("img", name="Latency:")).to_have_attribute("aria-label", re.compile(r"writes [\d.]+ (µs|ms|s)"))


def browses_to_a_key(page):
    step("A key that was put a second ago is found by browsing, and its name is text")
    put(MARKUP, 1000)
    page.get_by_role("link", name="Browse", exact=True).click()
    heading(page, "Volumes")
    page.get_by_role("link", name="vol1").click()
    page.get_by_role("link", name="bucket1").click()
    began = time.monotonic()
    expect(page.get_by_role("link", name=MARKUP)).to_be_visible()
    assert time.monotonic() - began < 5, "it took longer than a look"
    assert page.locator("main img").count() == 0, "a name became an element"
    picture(page, "recon-browse")
    page.get_by_role("button", name="Count keys and sizes").click()
    expect(page.get_by_text("7 keys and 1 directories")).to_be_visible()
    page.get_by_role("link", name=MARKUP).click()
    heading(page, MARKUP)
    expect(page.get_by_text("(1,000 bytes)")).to_be_visible()
    expect(page.get_by_role("table", name="Blocks").locator("tbody tr")).to_have_count(1)
    accessible(page, "a key")
    page.go_back()
    page.get_by_role("link", name="live").click()
    expect(page.get_by_role("link", name="key5")).to_be_visible()
    page.get_by_role("searchbox").fill("key3")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr").first).to_contain_text("key3")


def keyboard_alone(page):
    step("The keyboard alone reaches the content and every page")
    page.goto(RECON)
    heading(page, "Cluster")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.reload()
    heading(page, "Cluster")
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Datanodes", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    heading(page, "Datanodes")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def every_page_is_accessible(page):
    step("axe finds nothing on any page, light or dark, wide or on a phone, and no page is wider than the phone")
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for path, title in [
                ("#/", "Cluster"), ("#/datanodes", "Datanodes"), ("#/pipelines", "Pipelines"), ("#/containers", "Containers"),
                ("#/containers/1", "Container 1"), ("#/browse", "Volumes"), ("#/browse/vol1/bucket1", "bucket1"), ("#/repair", "Repair"),
            ]:
                page.goto(RECON + path)
                heading(page, title)
                expect(page.locator("[aria-busy]")).to_have_count(0)
                what = f"{path}, {scheme}, {size}"
                accessible(page, what)
                no_wider_than_the_screen(page, what)
    page.set_viewport_size(SIZES["wide"])
    page.goto(RECON + "#/datanodes")
    page.locator("tbody a").first.click()
    expect(page.get_by_role("table", name="Volumes").locator("tbody tr")).to_have_count(1)
    accessible(page, "a datanode")


def a_theme_is_kept(page):
    step("A chosen theme is kept")
    page.emulate_media(color_scheme="light")
    page.goto(RECON)
    page.get_by_role("button", name="Dark").click()
    page.reload()
    heading(page, "Cluster")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(14, 19, 24)", ground
    page.get_by_role("button", name="Auto").click()


def pictures_of_a_busy_cluster(page):
    step("Pictures are made while the cluster works")
    page.goto(RECON)
    heading(page, "Cluster")

    def busy(number):
        put(f"busy/key{number}", (4 + 3 * (number % 4)) << 20)
        run("sh", "key", "get", f"/vol1/bucket1/busy/key{number}", f"back{number}")

    with meanwhile(busy):
        page.wait_for_timeout(4000)
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(1000)
    picture(page, "recon-light")
    page.emulate_media(color_scheme="dark")
    picture(page, "recon-dark")
    page.set_viewport_size(SIZES["phone"])
    page.emulate_media(color_scheme="light")
    picture(page, "recon-phone")
    page.set_viewport_size(SIZES["wide"])


def a_killed_datanode(page):
    step("A datanode that loses its power is shown stale, then dead")
    page.goto(RECON + "#/datanodes")
    heading(page, "Datanodes")
    run("quickstart", "kill", "2", "--data", DATA)
    badges = page.locator("main table .badge")
    expect(badges.filter(has_text="stale")).to_have_count(1)
    page.goto(RECON + "#/")
    expect(page.get_by_text("1 datanode is dead")).to_be_visible()
    page.goto(RECON + "#/containers")
    heading(page, "Containers")
    picture(page, "recon-containers")
    page.goto(RECON + "#/datanodes")
    expect(badges.filter(has_text="dead")).to_have_count(1)
    accessible(page, "a dead datanode")
    page.goto(RECON + "#/repair")
    expect(page.get_by_text("Datanodes that are away")).to_be_visible()
    accessible(page, "what lacks")
    step("SCM has what lacks made anew on the others")
    mended = r"ill under replicated\s*0.*repairs ordered rebuild\s*[1-9].*replicas under way add\s*0"
    expect(page.get_by_role("main")).to_contain_text(re.compile(mended, re.DOTALL))
    step("When it is back nothing is wrong")
    run("quickstart", "start", "2", "--data", DATA)
    page.goto(RECON + "#/")
    expect(page.get_by_text("Everything is as it should be.")).to_be_visible()


def main():
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs namespaces that a container may lack; the page is ours.
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page(viewport=SIZES["wide"])
        watch = Watch(page)
        loads(page)
        shows_live_figures(page)
        browses_to_a_key(page)
        keyboard_alone(page)
        every_page_is_accessible(page)
        a_theme_is_kept(page)
        pictures_of_a_busy_cluster(page)
        a_killed_datanode(page)
        watch.nothing_wrong()
        chromium.close()


main()
