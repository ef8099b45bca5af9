import sys, tempfile, time
from pathlib import Path
from benchmarks.images import write_images
from benchmarks.race import race
from benchmarks.workloads import table
from benchmarks.worker import Worker
names = sys.argv[1].split(","); against = sys.argv[2].split(",")
repeats = int(sys.argv[3]); target=float(sys.argv[4])
folder = Path(tempfile.mkdtemp()); write_images(folder)
workers = {n: Worker(n) for n in ["gdcli", *against] if n}
for w in table(folder):
    if any(n in w.name for n in names):
        t=time.perf_counter()
        try:
            rs = race(w, workers, repeats, target)
        except Exception as e:
            print(w.name, type(e).__name__, e, flush=True); continue
        print(f"{w.name}  [{time.perf_counter()-t:.1f}s]")
        for r in rs:
            print(f"   {r.contestant:12s} {r.value.median:10.3f} us [{r.value.low:.3f} {r.value.high:.3f}] steps {r.steps} trials {r.trials} over {r.overhead_seconds:.3f} comp {r.compile_seconds:.2f}", f"ratio {r.ratio.median:.2f} [{r.ratio.low:.2f} {r.ratio.high:.2f}] goal {r.goal}" if r.ratio else "", flush=True)
for w in workers.values(): w.close()
