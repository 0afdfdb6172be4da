"""Runs the plans of `networks` and the same work in PyTorch, first to see that both compute the same, then for time.

Both sides take turns, each visit in a process of its own, so that neither gets the quieter machine and each peak of
memory is its own. PyTorch counts with its fastest variant.

    cargo xtask bench --python PYTHON -- --rounds 3        builds, then calls this
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = Path(__file__).with_name("latent_diffusion_torch.py")
WORK = ["autoencoder-training", "diffusion-training", "unet-training", "vae-training", "denoise", "decode"]
# The largest error of an output relative to its size, and of the change that three steps make to the weights. Adam
# divides small gradients by their own size, and with them their rounding errors.
OUTPUTS, CHANGES = 1e-4, 1e-2


def run(command, threads):
    """What a process printed as JSON, and the peak of its memory in MiB."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True, env=environment)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed ({process.returncode})")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return (json.loads(text) if text.strip() else {}), usage.ru_maxrss / unit


def check(arguments):
    with tempfile.TemporaryDirectory() as folder:
        for work in arguments.work:
            file = Path(folder) / "run.safetensors"
            run([arguments.ours, "export", work, file, "--threads", arguments.threads], arguments.threads)
            report, _ = run([sys.executable, PEER, "check", work, file], arguments.threads)
            errors = report["outputs"] | {key: report[key] for key in report if key.endswith("_change")}
            listed = ", ".join(f"{key} {value:.1e}" for key, value in errors.items())
            print(f"{work}: {report['weights'] / 1e6:.3f} M weights; relative differences: {listed}", flush=True)
            for key, error in errors.items():
                if not error <= (CHANGES if key.endswith("_change") else OUTPUTS):
                    sys.exit(f"{work}: the two sides do not compute the same ({key})")


def variants(arguments):
    common = ["--threads", arguments.threads, "--seconds", arguments.seconds]
    yield "Yuragi", lambda work: [arguments.ours, "time", work, *common]
    for compiled in [[], ["--compile"]][: 1 + arguments.compile]:
        for layout in ["plain", "channels_last"]:
            name = f"PyTorch {layout}{' compiled' * len(compiled)}"
            options = ["--layout", layout, *compiled, *common]
            yield name, lambda work, options=options: [sys.executable, PEER, "time", work, *options]


def measure(arguments):
    found = {work: {} for work in arguments.work}
    for number in range(arguments.rounds):
        for work in arguments.work:
            for name, command in variants(arguments):
                print(f"round {number + 1}/{arguments.rounds}: {work}, {name}", file=sys.stderr, flush=True)
                report, peak = run(command(work), arguments.threads)
                entry = found[work].setdefault(name, {"times_ms": [], "peak_mib": 0.0})
                entry["times_ms"] += report.pop("times_ms")
                entry["peak_mib"] = max(entry["peak_mib"], peak)
                entry |= report
    for entries in found.values():
        for entry in entries.values():
            times = entry["times_ms"]
            entry |= {"min_ms": min(times), "median_ms": statistics.median(times), "runs": len(times)}
            if "plan_bytes" in entry:
                entry["plan_mib"] = sum(entry["plan_bytes"].values()) / 2**20
    return found


def row(cells):
    return "| " + " | ".join(cells) + " |"


def tables(found):
    print("\nTime in ms: fastest and median run; the ratio is PyTorch's over Yuragi's, above 1 where Yuragi is faster.\n")
    print(row(["work", "Yuragi", "PyTorch", "its variant", "ratio of fastest", "ratio of medians"]))
    print(row(["---"] + ["---:"] * 2 + ["---"] + ["---:"] * 2))
    best = {}
    for work, entries in found.items():
        ours = entries["Yuragi"]
        name, peer = min(((n, e) for n, e in entries.items() if e is not ours), key=lambda pair: pair[1]["median_ms"])
        best[work] = ours, peer
        times = [f"{e['min_ms']:.1f} / {e['median_ms']:.1f}" for e in (ours, peer)]
        ratios = [f"{peer[key] / ours[key]:.2f}" for key in ("min_ms", "median_ms")]
        print(row([work, *times, name.removeprefix("PyTorch "), *ratios]))
    print("\nMemory in MiB: what the plan announced; peak of each process, without what importing PyTorch takes.\n")
    print(row(["work", "Yuragi's plan", "Yuragi", "PyTorch", "with its import", "ratio"]))
    print(row(["---"] + ["---:"] * 5))
    for work, (ours, peer) in best.items():
        above = peer["peak_mib"] - peer["imported_mib"]
        values = [ours["plan_mib"], ours["peak_mib"], above, peer["peak_mib"]]
        print(row([work, *(f"{value:.1f}" for value in values), f"{above / ours['peak_mib']:.2f}"]))


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "an unknown processor"


def main():
    parser = argparse.ArgumentParser(description="Times the networks of crates/models beside PyTorch.")
    parser.add_argument("--ours", type=Path, required=True, help="the program `networks` of this package")
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each visit, after two runs to warm up")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compile", action="store_true", help="also with torch.compile, which needs a C++ compiler")
    parser.add_argument("--check-only", action="store_true", help="only see that both compute the same")
    parser.add_argument("--json", type=Path, help="also write all times here")
    arguments = parser.parse_args()
    check(arguments)
    if arguments.check_only:
        return
    found = measure(arguments)
    torch = next(e["torch"] for entries in found.values() for e in entries.values() if "torch" in e)
    print(f"\n{processor()}, {arguments.threads} threads, PyTorch {torch}, {arguments.rounds} rounds")
    tables(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
