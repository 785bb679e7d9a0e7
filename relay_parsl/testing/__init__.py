"""For the tests of programs that use relay-parsl, and of plug-ins.

```python
def test_my_program(tmp_path):
    with testing.relay(tmp_path, {'polaris': {'type': 'ThreadPoolEngine'}}) as relay, Executor('polaris', relay=relay) as polaris:
        assert polaris.submit(pow, 2, 3).result(timeout=30) == 8

class TestMyEngine(testing.EngineContract):
    def make(self):
        return MyEngine(workers=2)

class TestMyAction(testing.ActionContract):
    def make(self, surroundings):
        return MyAction(surroundings)
    def body(self):
        return {'text': 'hello'}
    ...

def test_my_flow():
    ran = testing.run_flow('flow.json', {'input': {...}}, actions={'Correlate': {'result': [0.9]}})
    assert ran.status == 'SUCCEEDED'
```

The relay and the endpoints are the real ones, in threads of this process: sockets, keys, seals, a store on disk. Nothing here is a mock.
"""

from relay_parsl.testing.actions import ActionContract, MemoryRecords
from relay_parsl.testing.answers import Answer
from relay_parsl.testing.bodies import sample_body
from relay_parsl.testing.engines import EngineContract
from relay_parsl.testing.expecting import PATIENCE
from relay_parsl.testing.flows import FakeActions, FakeCall, FlowRun, run_flow
from relay_parsl.testing.inprocess import InProcessRelay, relay

__all__ = ['relay', 'InProcessRelay', 'EngineContract', 'ActionContract', 'MemoryRecords', 'PATIENCE']
__all__ += ['run_flow', 'FlowRun', 'FakeActions', 'FakeCall', 'Answer', 'sample_body']
