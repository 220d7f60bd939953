# SPDX-License-Identifier: GPL-2.0-or-later
"""The rounds of loop.yaml as a graph of Parsl: ``python parsl_loop.py ROUNDS``, after ``pip install parsl`` and make_start.py.

Parsl decides where and when each command runs; here in four threads of this machine. On a cluster the executor is another, as
``HighThroughputExecutor(provider=SlurmProvider(...))``, and nothing else changes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import parsl
from parsl.app.app import bash_app
from parsl.config import Config
from parsl.data_provider.files import File
from parsl.dataflow.memoization import BasicMemoizer, id_for_memo
from parsl.executors import ThreadPoolExecutor
from parsl.utils import get_all_checkpoints

STARTS = {
    "hot": "-var temperature 2500.0",
    "vacancy": "-var temperature 1500.0 -var vacancy yes",
    "stretched": "-var temperature 1500.0 -var stretch 1.08",
}
START_MODEL = "lmp-uq fit --backbone nbmotaw --data train.extxyz --calibration calibration.extxyz --out {outputs[0]} --fit-offsets"


@id_for_memo.register(File)
def name_of_file(file, output_ref=False) -> bytes:
    """A file is known by its name: by that Parsl recognises what an earlier run of this script has done."""
    return file.url.encode()


@bash_app(cache=True)
def command(line, inputs=(), outputs=(), stdout=parsl.AUTO_LOGNAME, stderr=parsl.AUTO_LOGNAME):
    """A command, begun when its inputs are there; what it writes is named by outputs."""
    return line.format(inputs=inputs, outputs=outputs)


def one_round(number: int, model, labelled: list):
    """Model of the next round, as a future."""
    folder = Path(f"parsl-rounds/{number:02d}").absolute()
    folder.mkdir(parents=True, exist_ok=True)

    def then(line, inputs, output):
        return command(line, inputs=inputs, outputs=[File(str(folder / output))]).outputs[0]

    run = "lmp-uq run -in in.explore -log none -var model {inputs[0]} -var frames {outputs[0]} -var round " + str(number)
    pool = [then(f"mpiexec -n 1 {run} {variables}", [model], f"{name}.extxyz") for name, variables in STARTS.items()]
    n, seen = len(pool), len(labelled)
    frames = " ".join(f"{{inputs[{k}]}}" for k in range(1, n + 1))
    known = f"--seen {' '.join(f'{{inputs[{k}]}}' for k in range(n + 1, n + 1 + seen))}" if seen else ""
    line = f"lmp-uq select {frames} --like {{inputs[0]}} {known} --count 6 --up-to --max-grade 10 --out {{outputs[0]}}"
    todo = then(line, [model, *pool, *labelled], "todo.extxyz")
    labelled.append(then("python label.py {inputs[0]} {outputs[0]}", [todo], "labelled.extxyz"))
    validated = then("lmp-uq validate {inputs[0]} --data {inputs[1]} --json {outputs[0]}", [model, labelled[-1]], "validate.json")
    data = " ".join(f"{{inputs[{k}]}}" for k in range(len(labelled)))
    fit = f"lmp-uq fit --backbone nbmotaw --data train.extxyz {data} --calibration calibration.extxyz --fit-offsets --out {{outputs[0]}}"
    return then(fit, list(labelled), "model.uq"), validated


def main(rounds: int):
    """Round after round; within one, Parsl begins what it can."""
    kept = BasicMemoizer(checkpoint_mode="task_exit", checkpoint_files=get_all_checkpoints())
    with parsl.load(Config(executors=[ThreadPoolExecutor(max_threads=4)], memoizer=kept)):
        model = command(START_MODEL, outputs=[File(str(Path("parsl-start.uq").absolute()))]).outputs[0]
        labelled: list = []
        for number in range(1, rounds + 1):
            model, validated = one_round(number, model, labelled)
            print(f"round {number}: {validated.result().filepath}")
        print(f"newest model: {model.result().filepath}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
