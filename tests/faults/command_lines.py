"""Many command lines, each in a process of its own; what they import is imported once.

    python tests/faults/command_lines.py < cases.json > results.json

A case is {"command": "launch.py" or "ppcn-jax", "arguments": [...], "limit": bytes of memory or
null}, a result {"status", "stdout", "stderr"}; a process that takes longer than a minute is killed.
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
    """The results of cases, in order."""
    command = [sys.executable, __file__]
    text = json.dumps(list(cases), default=str)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, **pipes) as server:
        told, _ = server.communicate(text)
    assert server.returncode == 0
    return json.loads(told)


def run(case):
    """Fork, run one command line in the child, read what it told."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if not child:
            be(case, stdout, stderr)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told = []
        for file in (stdout, stderr):
            file.seek(0)
            told.append(file.read().decode(errors="replace"))
    return {"status": status, "stdout": told[0], "stderr": told[1]}


def be(case, stdout, stderr):
    """Never returns: the child ends as the command would."""
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
    except BaseException:  # noqa: BLE001  the command's end, whatever it is
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    import launch
    from ppcn_jax import command
    from ppcn_jax.inference import jobs as photo_jobs  # noqa: F401
    from ppcn_jax.inference import photo as treatment  # noqa: F401
    from ppcn_jax.weights import load as model_files  # noqa: F401

    json.dump([run(case) for case in json.load(sys.stdin)], sys.stdout)
