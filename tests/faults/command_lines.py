"""Run many command lines, each in a forked process, and pay for their imports only once.

    python tests/faults/command_lines.py < cases.json > results.json

A case is {"command": "launch.py" or "ppcn-jax", "arguments": [...], "limit": bytes of memory or
null}, a result is {"status", "stdout", "stderr"}. A process is killed after a minute.
"""

import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 60


def run_all(cases, environment):
    """Run the cases; return their results in order."""
    command = [sys.executable, __file__]
    text = json.dumps(list(cases), default=str)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, **pipes) as server:
        results, _ = server.communicate(text)
    assert server.returncode == 0
    return json.loads(results)


def run(case):
    """Fork, run one command line in the child, and read its output."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if not child:
            run_in_child(case, stdout, stderr)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return {"status": status, "stdout": texts[0], "stderr": texts[1]}


def run_in_child(case, stdout, stderr):
    """Run a command line and exit with its status; never returns."""
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    signal.alarm(PATIENCE)
    if case.get("limit"):
        resource.setrlimit(resource.RLIMIT_AS, (case["limit"],) * 2)
    status = 0
    try:
        sys.argv = [case["command"], *case["arguments"]]
        if case["command"] == "launch.py":
            launch.app.run(launch.main, flags_parser=launch.parse_flags)
        else:
            command.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  report any error as the interpreter would
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    import launch
    from ppcn_jax import command
    from ppcn_jax.inference import jobs, photo  # noqa: F401
    from ppcn_jax.weights import load  # noqa: F401

    json.dump([run(case) for case in json.load(sys.stdin)], sys.stdout)
