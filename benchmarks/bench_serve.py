"""How fast the studio answers: one user, a crowd, nonsense; and how long from the pen to the first note.

    python benchmarks/bench_serve.py [--seconds 20] [--workers 2] [--users 1 8 32]

Users draw without a pause: each sends another drawing to /api/translate as soon as it has its answer, through
a connection of its own. Then 500 malformed requests, and, where there is a Chromium, the first paint and the
time from lifting the pen to the start of the tune.

Goals on 2 cores: p95 at most 120 ms for one user, at most 2.5 s for 32 for a minute (--seconds 60), no error,
under 1.5 GB for all processes; no 5xx for any nonsense.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import numpy as np

SEED = 0
NONSENSE = 500
START = "kikibouba studio: "


WATCH = """(() => {
  window.waits = [];
  studio.paper.addEventListener("lift", () => (window.lifted = performance.now()));
  studio.player.addEventListener("start", () => window.waits.push(performance.now() - window.lifted));
})()"""
"""Collects in the page how long each tune was in coming."""

JUNK = ["}", "[", '"', "-", "1e999", "NaN", "null", "\x00", "é", "[[[["]
PATHS = ["translate", "sample", "render", "interpolate", "read?name=a.mid", "personalize", "decode"]


def drawing(rng: random.Random) -> dict[str, object]:
    """A request: a scribble of 4 to 40 points."""
    n = rng.randint(4, 40)
    stroke = [[round(rng.random() * 500, 1) for _ in range(n)] for _ in range(2)]
    return {"source": {"drawing": [stroke]}, "to": "melody", "seed": rng.randrange(1_000)}


def memory(pid: int) -> float:
    """GB of unique memory of a process and all it started (proportional set size)."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(re.findall(r"^Pss: +(\d+)", rollup, re.MULTILINE)[0])
            children = Path(f"/proc/{one}/task/{one}/children").read_text()
            waiting += map(int, children.split())
        except OSError:
            continue
    return total / 1e6


async def crowd(address: str, users: int, seconds: float) -> tuple[list[float], int]:
    """Seconds of every answer, and how many were no answer."""
    times: list[float] = []
    errors = 0
    end = time.perf_counter() + seconds

    async def user(number: int) -> None:
        nonlocal errors
        rng = random.Random(number)
        async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
            while time.perf_counter() < end:
                began = time.perf_counter()
                answer = await client.post("/api/translate", json=drawing(rng))
                times.append(time.perf_counter() - began)
                errors += answer.status_code != 200

    await asyncio.gather(*(user(number) for number in range(users)))
    return times, errors


async def nonsense(address: str) -> dict[int, int]:
    """Status → how often, of mutated requests."""
    rng = random.Random(SEED)
    whole = json.dumps(drawing(rng))
    statuses: dict[int, int] = {}
    async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
        for _ in range(NONSENSE):
            text = list(whole)
            for _ in range(rng.randint(1, 6)):
                k = rng.randrange(len(text))
                text[k : k + rng.randint(0, 9)] = rng.choice(JUNK)
            path = rng.choice(PATHS)
            answer = await client.post(
                f"/api/{path}", content="".join(text).encode(), headers={"Content-Type": "application/json"}
            )
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    return statuses


def in_a_browser(address: str) -> None:
    """First paint, and pen to first note, in Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium here: no figures of the page")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--mute-audio"]
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        size = sum(page.evaluate("performance.getEntriesByType('resource').map((r) => r.decodedBodySize)"))
        page.evaluate(WATCH)
        box = page.locator("#paper").bounding_box()
        assert box is not None
        for k in range(10):
            page.click("#clear") if k else None
            page.mouse.move(box["x"] + 100, box["y"] + 100 + 9 * k)
            page.mouse.down()
            for step in range(8):
                page.mouse.move(
                    box["x"] + 120 + 20 * step, box["y"] + 120 + 100 * (step % 2) + 9 * k, steps=3
                )
            page.mouse.up()
            page.wait_for_selector("#play[aria-label=Stop]")
        waits = page.evaluate("window.waits")
        print(f"page: {size / 1e3:.0f} kB, first paint after {paint:.0f} ms")
        print(
            f"pen lifted to tune started: median {np.median(waits):.0f} ms, most {max(waits):.0f} ms; "
            "250 ms of it are a pause in which another stroke may begin"
        )
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8, 32])
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {args.workers} workers")
    command = [sys.executable, "-m", "kikibouba", "serve", "--port", "0", "--workers", str(args.workers)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix(START).split()[0]
        try:
            asyncio.run(crowd(address, args.workers, 3))  # until all are warm
            for users in args.users:
                times, errors = asyncio.run(crowd(address, users, args.seconds))
                p50, p95 = np.quantile(times, [0.5, 0.95])
                rate = len(times) / args.seconds
                print(
                    f"{users:3d} users: {rate:5.1f} answers/s, median {1e3 * p50:5.0f} ms, "
                    f"p95 {1e3 * p95:5.0f} ms, {errors} errors, {memory(server.pid):.2f} GB"
                )
            statuses = asyncio.run(nonsense(address))
            print(f"{NONSENSE} malformed requests: {dict(sorted(statuses.items()))}")
            in_a_browser(address)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
