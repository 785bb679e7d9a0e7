"""`Flow.run` and `Run` in scripts: with Parsl, without an engine elsewhere, beside one, and after the script has ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parsl
import pytest
from parsl.configs.local_threads import config as local_threads

from relay_parsl.errors import InputInvalid, NotFound, RunFailed
from relay_parsl.flows import Flow, Run, runs
from relay_parsl.flows.engine import background as in_background
from relay_parsl.home import HOME

PASS = {'StartAt': 'P', 'States': {'P': {'Type': 'ExpressionEval', 'Parameters': {'m.=': 'n * 2'}, 'ResultPath': '$.r', 'End': True}}}
FAIL = {'StartAt': 'F', 'States': {'F': {'Type': 'Fail', 'Error': 'NoBeam', 'Cause': 'the shutter is closed'}}}
HELLO = 'https://actions.globus.org/hello_world'
NAP = {
    'StartAt': 'H',
    'States': {'H': {'Type': 'Action', 'ActionUrl': HELLO, 'Parameters': {'echo_string': 'hi', 'sleep_time.$': '$.nap'}, 'End': True}},
}
CONSENT = {'StartAt': 'H', 'States': {'H': {'Type': 'Action', 'ActionUrl': HELLO, 'Parameters': {'required_dependent_scope': 'x'}, 'End': True}}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(HOME, str(tmp_path / 'home'))
    yield tmp_path / 'home'
    in_background.stop()


def run(document: dict[str, Any], body: Any = None, **more: Any) -> Run:
    return Flow.from_dict(document).run(body if body is not None else {}, **more)


@pytest.mark.usefixtures('home')
def test_a_script_needs_no_other_process() -> None:
    done = run(PASS, {'n': 4}, label='scan 7', tags=['xpcs'])
    assert done.wait(30) == 'SUCCEEDED'
    assert done.result(30) == {'n': 4, 'r': {'m': 8}}
    assert (done.status, done.label, done.tags) == ('SUCCEEDED', 'scan 7', ['xpcs'])
    assert [entry['code'] for entry in done] == ['FlowStarted', 'ExpressionEvalStarted', 'ExpressionEvalCompleted', 'FlowSucceeded']
    assert [entry['code'] for entry in done.log(after=3)] == ['FlowSucceeded']
    assert [each.run_id for each in runs(tag='xpcs')] == [done.run_id]
    assert Run.find(done.run_id[:8]).future.result(30) == {'n': 4, 'r': {'m': 8}}
    done.cancel()
    assert done.status == 'SUCCEEDED'
    done.release()
    with pytest.raises(NotFound):
        _ = done.status


@pytest.mark.usefixtures('home')
def test_a_run_that_fails_raises_where_somebody_waits() -> None:
    failed = run(FAIL)
    for wait in (failed.result, failed.future.result):
        with pytest.raises(RunFailed, match='the shutter is closed'):
            wait(30)
    assert failed.status == 'FAILED'


@pytest.mark.usefixtures('home')
def test_entries_come_while_it_runs() -> None:
    napping = run(NAP, {'nap': 0.5})
    seen = [(entry['code'], napping.status) for entry in napping]
    assert ('ActionStarted', 'ACTIVE') in seen
    assert seen[-1] == ('FlowSucceeded', 'SUCCEEDED')
    with pytest.raises(TimeoutError):
        run(NAP, {'nap': 60}).wait(0.2)


@pytest.mark.usefixtures('home')
def test_a_run_that_waits_for_a_person_is_told_and_resumed() -> None:
    asks = run(CONSENT)
    future = asks.future
    assert asks.wait(30) == 'INACTIVE'
    with pytest.raises(RunFailed, match='ConsentRequired'):
        asks.result(30)
    assert not future.done()
    asks.resume()
    assert future.result(30)['status'] == 'SUCCEEDED'


@pytest.mark.usefixtures('home')
def test_a_cancelled_run_settles_its_future() -> None:
    napping = run(NAP, {'nap': 60})
    future = napping.future
    assert next(iter(napping))['code'] == 'FlowStarted'
    napping.cancel()
    with pytest.raises(RunFailed, match='FlowCanceled'):
        future.result(30)
    assert napping.status == 'ENDED'


@pytest.mark.usefixtures('home')
def test_a_body_that_the_schema_does_not_take_makes_no_run() -> None:
    schema = {'type': 'object', 'required': ['n'], 'properties': {'n': {'type': 'integer'}}}
    with pytest.raises(InputInvalid, match='n'):
        Flow.from_dict({'definition': PASS, 'input_schema': schema}).run({'n': 'four'})
    with pytest.raises(InputInvalid, match='object'):
        run(PASS, [1])
    with pytest.raises(InputInvalid, match='64'):
        run(PASS, {'n': 1}, label='x' * 65)
    assert runs() == []


@pytest.mark.usefixtures('home')
def test_the_same_run_id_is_one_run() -> None:
    name = str(uuid.uuid4())
    first, second = run(PASS, {'n': 1}, run_id=name), run(PASS, {'n': 2}, run_id=name)
    assert first.result(30) == second.result(30) == {'n': 1, 'r': {'m': 2}}


@pytest.mark.usefixtures('home')
def test_a_join_app_returns_what_a_flow_ends_with() -> None:
    """Real Parsl: a workflow starts flows, and goes on with their payloads or fails with their errors."""
    parsl.load(local_threads.__class__(executors=[parsl.ThreadPoolExecutor(max_threads=2)], initialize_logging=False))
    try:

        @parsl.join_app
        def analysed(n: int) -> Any:
            return Flow.from_dict(PASS).run({'n': n}).future

        @parsl.join_app
        def broken() -> Any:
            return Flow.from_dict(FAIL).run({}).future

        @parsl.python_app
        def doubled(payload: dict[str, Any]) -> int:
            return 10 * int(payload['r']['m'])

        assert [each.result(60) for each in [doubled(analysed(n)) for n in range(5)]] == [0, 20, 40, 60, 80]
        with pytest.raises(Exception, match='RunFailed'):
            broken().result(60)
    finally:
        parsl.dfk().cleanup()
        parsl.clear()


SCRIPT = """
import sys
from relay_parsl.flows import Flow
run = Flow.from_dict({document}).run({body})
print(run.run_id, flush=True)
if len(sys.argv) > 1:
    print(run.result(30)['details'], flush=True)
"""


def script(home: Path, document: dict[str, Any], body: Any, *more: str) -> subprocess.Popen[str]:
    code = SCRIPT.format(document=document, body=body)
    return subprocess.Popen([sys.executable, '-c', code, *more], env={**os.environ, HOME: str(home)}, stdout=subprocess.PIPE, text=True)


def test_what_a_script_began_goes_on_with_the_next(home: Path) -> None:
    with script(home, NAP, {'nap': 1.5}) as ended:
        run_id = str(ended.communicate(timeout=60)[0]).strip()
    assert ended.returncode == 0
    found = Run.find(run_id)
    assert found.status == 'ACTIVE'
    run(PASS, {'n': 1})  # has an engine in this process
    assert found.result(30)['details']['hello'] == 'hi'


def test_two_scripts_share_one_engine_and_outlive_each_other(home: Path) -> None:
    first = script(home, NAP, {'nap': 0.2}, 'wait')
    second = script(home, NAP, {'nap': 3}, 'wait')
    try:
        assert 'hi' in str(first.communicate(timeout=60)[0])
        assert 'hi' in str(second.communicate(timeout=60)[0])
    finally:
        for each in (first, second):
            each.kill()
            each.wait()


def test_the_end_of_a_script_waits_for_no_run(home: Path) -> None:
    begun = time.monotonic()
    with script(home, NAP, {'nap': 3600}) as ended:
        assert ended.wait(60) == 0
    assert time.monotonic() - begun < 30
    with in_background.Journal.open() as journal:
        assert journal.file.one('SELECT count(*) FROM lease')[0] == 0, 'the lease was given back'


def test_a_forked_child_begins_anew(home: Path) -> None:
    assert run(PASS, {'n': 1}).result(30)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12 has it where there are threads
        child = os.fork()
    if child == 0:
        try:
            os.write(write, json.dumps(run(PASS, {'n': 2}).result(30)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, 'rb') as answer:
        assert json.loads(answer.read()) == {'n': 2, 'r': {'m': 4}}
    assert threading.active_count() < 50
    assert home.exists()


def test_flows_load_no_storage_and_no_parsl_before_they_are_used() -> None:
    heavy = ('aiohttp', 'asyncssh', 'jsonpath', 'parsl', 'sqlite3', 'simpleeval', 'jsonschema')
    code = f'import sys, relay_parsl.flows; print([name for name in {heavy!r} if name in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip() == '[]'
