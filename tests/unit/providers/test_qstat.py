"""Every answer of a real `qstat` that was kept in tests/data/pbs, and some that were spoiled."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsl.jobs.states import JobState

from relay_parsl.providers import qstat
from relay_parsl.providers.jobs import JobView

DATA = Path(__file__).parents[2] / 'data' / 'pbs'
RAN = 'Job run at Sun Nov 22 at 08:12 on'
TOLD = {
    'bad-output-path-4s': ('10', JobState.RUNNING, f'{RAN} (p1:ncpus=1)', None),
    'finished-exit0': ('2', JobState.COMPLETED, f'{RAN} (p1:ncpus=64:ngpus=4)+(p2:ncpus=64:ngpus=4) and finished', 0),
    'finished-exit3': ('3', JobState.FAILED, f'{RAN} (p3:ncpus=1) and failed', 3),
    'finished-qdel-queued': (
        '7',
        JobState.CANCELLED,
        'Can Never Run: Insufficient amount of resource: system (polariss != polaris) and terminated',
        None,
    ),
    'finished-qdel-running': ('5', JobState.CANCELLED, f'{RAN} (p2:ncpus=1) and terminated by root@polaris-pbs-01', 0),
    'finished-walltime': ('4', JobState.TIMEOUT, f'{RAN} (p1:ncpus=1) and exceeded resource walltime', -29),
    'held': ('6', JobState.HELD, 'held by PBS: state H, Hold_Types u', None),
    'master-one-of-two': (
        '36',
        JobState.CANCELLED,
        'Job run at Sun Nov 22 at 08:08 on (p1:ncpus=64:ngpus=4) and terminated by root@polaris-pbs-01',
        0,
    ),
    'queued-can-never-run': ('7', JobState.PENDING, 'Can Never Run: Insufficient amount of resource: system (polariss != polaris)', None),
    'queued-waiting': ('9', JobState.PENDING, 'Not Running: Not enough free nodes available', None),
    'right-after-qdel': ('5', JobState.CANCELLED, f'{RAN} (p2:ncpus=1) and terminated by root@polaris-pbs-01', 0),
    'running': ('5', JobState.RUNNING, f'{RAN} (p2:ncpus=1)', None),
    'running-2nodes': ('2', JobState.RUNNING, f'{RAN} (p1:ncpus=64:ngpus=4)+(p2:ncpus=64:ngpus=4)', None),
}


@pytest.mark.parametrize('path', sorted(DATA.glob('*.json')), ids=lambda path: path.stem)
def test_what_pbs_printed(path: Path) -> None:
    number, state, reason, code = TOLD[path.stem]
    assert qstat.views(path.read_text()) == {f'{number}.polaris-pbs-01': JobView(state, reason, code)}


HEAD = '{\n    "timestamp":1795335179,\n    "pbs_version":"23.06.06",\n    "pbs_server":"polaris-pbs-01"\n}'


@pytest.mark.parametrize('printed', [HEAD, '{}', '[]', '{"Jobs": null}', '{"Jobs": {"1.x": "?"}}'])
def test_an_answer_without_jobs_names_none(printed: str) -> None:
    assert qstat.views(printed) == {}


@pytest.mark.parametrize('printed', ['', '{"Jobs": {', '{"Jobs": {"1.x": {"job_state": "R", "V": "a"b"}}}'])
def test_what_is_no_json_is_said(printed: str) -> None:
    with pytest.raises(ValueError, match='Expecting'):
        qstat.views(printed)


def test_control_characters_and_numbers_for_names_do_no_harm() -> None:
    printed = '{"Jobs": {"1.x": {"Job_Name": 1e5, "job_state": "F", "Exit_status": "2", "comment": "a\tb"}}}'
    assert qstat.views(printed) == {'1.x': JobView(JobState.FAILED, 'a\tb', 2)}


def test_states_that_nobody_knows_are_unknown() -> None:
    assert qstat.view({'job_state': 'Z'}) == JobView(JobState.UNKNOWN, "PBS says job_state 'Z'")
    assert qstat.view({}).state == JobState.UNKNOWN


TEXT = """Job Id: 3.polaris-pbs-01
    Job_Name = exit3.sh
    job_state = F
    comment = Job run at Sun Nov 22 at 08:12 on (p3:ncpus=64:ngpus=4)+(p4:ncpus=64
\t:ngpus=4) and failed
    Variable_List = PBS_O_HOME=/home/alice,X=a
\t    job_state = R
    Exit_status = 3
    substate = 93

Job Id: 4[].polaris-pbs-01
    job_state = B

"""


def test_plain_text() -> None:
    assert qstat.text_views(TEXT) == {
        '3.polaris-pbs-01': JobView(JobState.FAILED, 'Job run at Sun Nov 22 at 08:12 on (p3:ncpus=64:ngpus=4)+(p4:ncpus=64:ngpus=4) and failed', 3),
        '4[].polaris-pbs-01': JobView(JobState.RUNNING),
    }
    assert qstat.text_views('qstat: Unknown Job Id 7') == {}


@pytest.mark.parametrize(
    ('asked', 'printed', 'same'),
    [
        ('12.pbs', '12.pbs', True),
        ('12.pbs', '12.pbs.hsn.cm.polaris', True),
        ('12.pbs.hsn.cm.polaris', '12.pbs', True),
        ('12.pbs', '12', True),
        ('12.polaris-pbs-01', '12.polaris-p*', True),
        ('12[].pbs', '12[].pbs', True),
        ('12.pbs', '1', False),
        ('12.pbs', '1.pbs', False),
        ('1.pbs', '12.pbs', False),
        ('12[].pbs', '12[1].pbs', False),
        ('12.pbs', '12[].pbs', False),
        ('12.one', '12.two', False),
    ],
)
def test_which_ids_mean_one_job(asked: str, printed: str, same: bool) -> None:
    assert qstat.same(asked, printed) is same
    view = JobView(JobState.RUNNING)
    assert qstat.mine([asked], {printed: view}) == ({asked: view} if same else {})
