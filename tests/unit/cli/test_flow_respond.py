from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay_parsl.cli.main import main
from relay_parsl.flows.journal import Journal

QUESTION = {
    'web_input_id': '4f0c',
    'run_id': 'r',
    'status': 'OPEN',
    'time': 1.0,
    'expires': 4e9,
    'options': [{'Value': 'yes'}, {'Value': 7}],
    'respondents': ['ann'],
}


@pytest.fixture(autouse=True)
def _asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path))
    with Journal.open() as journal:
        journal.records('web_input').put('question/4f0c', QUESTION)


def run(*words: str) -> Any:
    return CliRunner().invoke(main, ['flow', *words])


def question() -> Any:
    with Journal.open() as journal:
        return journal.web_inputs(open_only=False)[0]


def test_somebody_else_is_told_whom_it_asks() -> None:
    refused = run('respond', '4f', 'yes')
    assert refused.exit_code != 0
    assert 'is for ann' in refused.output
    assert '--by' in refused.output
    assert question()['status'] == 'OPEN'


def test_the_one_who_is_asked_answers() -> None:
    assert run('respond', '4f', '7', '--by', 'ann').exit_code == 0
    assert (question()['response'], question()['respondent']) == (7, 'ann')
