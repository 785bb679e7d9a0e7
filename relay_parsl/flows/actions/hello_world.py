"""`hello_world`: says what it was told, at once or after a while; with `required_dependent_scope` it waits for a consent first."""

from __future__ import annotations

from relay_parsl.flows.actions.alarms import Alarms
from relay_parsl.flows.actions.base import Call, Description, Surroundings
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.kept import Kept, Row
from relay_parsl.flows.messages import ActionStatus

LONGEST = 366 * 86_400.0
"""Seconds of `sleep_time`."""


class HelloWorld(Kept):
    """Nothing is granted here, for nothing is asked for elsewhere: whoever resumes the run gives the consent that it waits for."""

    description = Description(
        name='hello_world',
        title='Hello World',
        urls=(
            'https://actions.globus.org/hello_world',
            'https://actions.automate.globus.org/hello_world',
        ),
        input_schema={
            'type': 'object',
            'properties': {
                'echo_string': {'type': 'string', 'description': 'What comes back.'},
                'sleep_time': {'type': 'number', 'minimum': 0, 'description': 'Seconds until it does.'},
                'required_dependent_scope': {'type': 'string', 'description': 'The action is INACTIVE until it is resumed.'},
            },
            'additionalProperties': False,
        },
    )

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._alarms = Alarms(self.tell, surroundings.clock)

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        fields = Fields(call.body)
        fields.text('echo_string', '')
        if fields.number('sleep_time', 0.0, least=0) > LONGEST:
            fields.fault('sleep_time', f'is {LONGEST:.0f} at most')
        fields.text('required_dependent_scope', '')
        fields.only()
        fields.done()
        return {}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """There is nothing to do but to wait."""
        status = self.standing(action_id, row)
        if status.status == 'ACTIVE':
            self._alarms.set(action_id, self._due(row))
        return status

    def standing(self, action_id: str, row: Row) -> ActionStatus:
        """It follows from the request and the time."""
        scope = row['body'].get('required_dependent_scope')
        if scope and 'resumed' not in row:
            return self.inactive(action_id, row, _consent(scope))
        if self.surroundings.clock() < self._due(row):
            return self.active(action_id, row, {'sleeps_until': self._due(row)})
        echo = row['body'].get('echo_string')
        return self.succeeded(action_id, row, {'Hello': 'World', **({} if echo is None else {'hello': echo})}, self._due(row))

    def again(self, action_id: str, row: Row) -> ActionStatus:
        """The consent is given."""
        row['resumed'] = self.surroundings.clock()
        self.keep(action_id, row)
        return self.begin(action_id, row, again=True)

    def close(self) -> None:
        """No more alarms."""
        self._alarms.close()

    def _due(self, row: Row) -> float:
        begun: float = row['resumed'] if 'resumed' in row else row['time']
        return begun + float(row['body'].get('sleep_time') or 0.0)


def _consent(scope: str) -> dict[str, str]:
    return {
        'code': 'ConsentRequired',
        'description': f'the action needs a consent for {scope}',
        'required_scope': scope,
        'resolution': 'resume the run to give it: `relay-parsl flow resume`',
    }
