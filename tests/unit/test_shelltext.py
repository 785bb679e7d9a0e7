"""Values in a text of the shell, with bash as the judge: each is itself where it is taken, and none is ever code."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_parsl.shell import ShellFunction

CANARY = 'canary'


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def bash(cmd: str) -> subprocess.CompletedProcess[str]:
    """Without the files of a ShellFunction: many runs in a test."""
    return subprocess.run(['/bin/bash', '-c', cmd], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)


def fill(text: str, **kwargs: object) -> str:
    return ShellFunction(text).command(kwargs)


PLACES = [
    ('printf %s {x}', '@'),
    ('printf %s "{x}"', '@'),
    ("printf %s '{x}'", '@'),
    ("printf %s $'\\x41{x}\\x41'", 'A@A'),
    ('printf %s "$(printf %s. {x})"', '@.'),
    ('printf %s "$(printf %s. "{x}")"', '@.'),
    ("# don't, {x}\nprintf %s {x} # nor here", '@'),
    ("echo -n it\\'s | cat >/dev/null; printf %s {x}", '@'),
    ('echo $((1<<2)) $((a<<b)) ${#x} >/dev/null\nprintf %s {x}', '@'),
    ('cat <<< {x}', '@\n'),
    ('cat <<EOF\n{x}\nEOF\n', '@\n'),
    ('cat <<EOF\n{x}\\\nEOF\n\nEOF\n# ', '@EOF\n\n'),
    ("cat <<-EOF >/dev/null; printf %s {x}\n\tit's\n\tEOF", '@'),
    ("cat <<EOF >/dev/null; printf %s {x}\n\tEOF\nit's\nEOF", '@'),
    ("cat <<A <<'B' >/dev/null\nit's\nA\n\"\nB\nprintf %s '{x}'", '@'),
    ('cat <<"E F"\n\'\nE F\nprintf %s "{x}"', "'\n@"),
    ('cat <<1\n{x}\n1', '@\n'),
    ('cat <<!\n$(echo it) ${{HOME:+home}} {x}\n!', 'it home @\n'),
    ('if (true); then printf %s {x}; fi', '@'),
    ('f() {{ printf %s "$1"; }}; f {x}', '@'),
    ('printf %s "$(case q in *) printf %s. {x};; esac)"', '@.'),
    ("printf %s \"${{NONE:-it\\'s}} `echo 'a'` ('\"; printf %s {x}", "it\\'s a ('@"),
    ('v={x}; printf %s "$v"', '@'),
    ('v=pre; printf %s $v{x}post', 'pre@post'),
    ('printf %s {x}{x}', '@@'),
    ('printf %s {x}>out; cat out', '@'),
    ('[[ {x} == {x} && -n x ]] && printf %s {x}', '@'),
    ('[[ b == [[:alpha:]] ]] && printf %s {x}', '@'),
    ('a=(z {x}); printf %s "${{a[1]}}"', '@'),
    ('for f in {x}; do printf %s "$f"; done', '@'),
    ("printf %s $$'a' >/dev/null; printf %s {x}", '@'),
    ('"printf" "%s" \\\n  {x}', '@'),
    ('bash -c \'printf %s "$1"\' bash {x}', '@'),
    ('echo eval {x}; eval "v=1"; (let v=1); printf %s {x}', 'eval @\n@'),
]
"""Texts, and what they print: `@` is the value."""
VALUES = [
    'plain',
    'a b',
    "it's",
    '"',
    '$HOME `id` $(id)',
    'back\\slash\\',
    '; exit 3 #',
    'two\nlines',
    '*',
    "'\"'; {y} é",
    '',
    '2',
    'if',
    'A=b',
    'EOF\ntouch canary',
]


@pytest.mark.parametrize(('place', 'printed'), PLACES)
def test_a_value_is_itself_wherever_it_stands(place: str, printed: str) -> None:
    for value in VALUES:
        result = bash(fill(place, x=value))
        assert (result.returncode, result.stderr) == (0, ''), result
        assert result.stdout == printed.replace('@', value), result.args
    assert not Path(CANARY).exists()


ATTACKS = [
    ('cat <<E\n{x}\nE', 'a\nE\ntouch canary\ncat <<E\n'),
    ("cat <<'E'\n{x}\nE", 'a\nE\ntouch canary\ncat <<E\n'),
    ("cat <<'E'\n{x}\ntouch canary\nE", 'E'),
    ("cat <<'E'\nE{x}\ntouch canary\nE", ''),
    ('echo "`basename {x}`"', 'a`touch canary`'),
    ('cat <<E\n$(basename {x})\nE', ';touch canary;'),
    ('cat <<1\n{x}\n1', '$(touch canary)'),
    ('cat <<!\n{x}\n!', "'$(touch canary)'"),
    ('cat <<{x}\nz\n{x}', '$(touch canary)'),
    ('cat <<$Y\n{x}\n$Y', '\n$Y\ntouch canary'),
    ('echo "${x}"', '(touch canary)'),
    ('echo {x!r}', '\'"$(touch canary)'),
    ('echo "{x:>30}"', '$(touch canary)'),
    ('echo $(({x} + 1))', 'a[$(touch canary)]'),
    ('(({x})); for ((i={x};i<1;i++)); do :; done', 'a[$(touch canary)]'),
    ('echo $[{x}]', 'a[$(touch canary)]'),
    ('[[ "{x}" -eq 1 ]]', 'a[$(touch canary)]'),
    ('[[ b == [[:alpha:]] && ( {x} -eq 1 ) ]]', 'a[$(touch canary)]'),
    ("a['{x}']=1", 'b[$(touch canary)]'),
    ('a=([{x}]=1)', 'b[$(touch canary)]'),
    ('echo ${{HOME:{x}}}', 'a[$(touch canary)]'),
    ("bash -c 'echo {x}'", ';touch canary'),
    ('/bin/sh -e -c "echo {x}"', ';touch canary'),
    ('true && eval "echo; echo {x}"', ';touch canary'),
    ("if true; then trap 'echo {x}' EXIT; fi", ';touch canary'),
    ('let v={x}', 'a[$(touch canary)]'),
    ('declare -i v={x}', 'a[$(touch canary)]'),
    ('declare {x}=1', 'a[$(touch canary)]'),
    ('declare -g  "{x}"=1', 'a[$(touch canary)]'),
    ('f() {{ local v="a b" \'{x}\'=1; }}; f', 'a[$(touch canary)]'),
    ('A=1 read {x} <<< 1', 'a[$(touch canary)]'),
    ('echo $((${x})) {y}', '_rp1'),
    ('bash -l \\\n  -c \\\n  "echo {x}"', ';touch canary'),
    ('[ -v {x} ]', 'a[$(touch canary)]'),
    ('{x} true', 'PATH=$(touch canary)'),
    ('echo \\{x}', "'; touch canary #"),
    ('{x}{x}', 'touch canary'),
]


@pytest.mark.parametrize(('text', 'value'), ATTACKS)
def test_no_value_is_code(text: str, value: str) -> None:
    with suppress(ValueError):
        bash(fill(text, x=value, y='a[$(touch canary)]'))
    assert not Path(CANARY).exists()


REFUSED = [
    ('echo `basename {x}`', r'{x} stands in backticks.*: write \$\(…\), or {x!s}'),
    ('echo "${{Y:-{x}}}"', r'v={x}; … "\$v"'),
    ('echo $((1 + {x}))', 'arithmetic.*: give a number'),
    ('a[{x}]=1', 'subscript'),
    ('[[ {x} -lt 3 ]]', r'write \[ … \]'),
    ("cat <<'E'\n{x}\nE", 'write the delimiter without quotes'),
    ('cat <<E\n$(date +{x})\nE', 'substitution of a here-document'),
    ('cat <<$E\n{x}\n$E', 'plain word as the delimiter'),
    ('echo "\\{x}"', 'backslash'),
    ('bash -lc "echo {x}"', r'bash -c .* bash {x}'),
    ("eval 'echo {x}'", r'v={x}; eval .*"\$v"'),
    ('let i+={x}', 'evaluates.*: give a number'),
]


@pytest.mark.parametrize(('text', 'said'), REFUSED)
def test_where_the_shell_would_read_a_value_it_is_refused_and_a_number_is_not(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fill(text, x='a b')
    assert fill(text, x=42) == text.replace('{x}', '42').replace('{{', '{').replace('}}', '}')
    assert fill(text.replace('{x}', '{x!s}'), x='a b') == text.replace('{x}', 'a b').replace('{{', '{').replace('}}', '}')


def test_what_no_command_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r'x= holds a NUL'):
        fill('echo {x}', x='a\0b')
    with pytest.raises(ValueError, match='the command holds a NUL'):
        fill('echo \0')
    with pytest.raises(ValueError, match=r'no name of one: {x} is the value'):
        fill('echo ${x}', x='a b')
    with pytest.raises(ValueError, match=r'the name of a variable.*: give a name'):
        fill('declare {x}=1', x='a b')
    assert fill('declare {x}=1', x='a') == 'declare a=1'


OPENINGS = [
    *('{}', '({})', '$({})', '"$({})"', '`{}`', '"`{}`"', "'{}'", '"{}"', "$'{}'", '$(({}))', '(({}))', '${{Y:-{}}}', '"${{Y:-{}}}"', '${{Y#{}}}'),
    *('cat <<E\n{}\nE\n', "cat <<'E'\n{}\nE\n", 'cat <<-"E F"\n\t{}\n\tE F\n', 'cat <<!\n{}\n!\n', 'cat <<1\n{}\n1\n', 'cat <<\\E\n{}\nE\n'),
    *(
        'case q in *) {};; esac',
        '[[ {} -eq 1 ]]',
        '[[ {} == a ]]',
        'a[{}]=1',
        '# {}\n',
        'echo {}',
        'v={}; echo "$v"',
        '{{ {}; }}',
        'if {}; then :; fi',
    ),
    *(
        'echo {} <<< {}',
        'a=({})',
        'echo >{}',
        'echo a{}b',
        '\\{}',
        'echo $[{}]',
        'f() {{ {}; }}; f',
        '<({})',
        '! {}',
        "bash -c '{}'",
        'eval "{}"',
        'let {}',
        'declare {}=1',
        'trap "{}" EXIT',
        'A=1 read {} <<< 1',
    ),
]
PIECES = [
    "'",
    '"',
    '`',
    '$',
    '(',
    ')',
    '{',
    '}',
    '[',
    ']',
    '\n',
    'E',
    '!',
    '1',
    'E F',
    '\\',
    '#',
    ';',
    '&',
    '|',
    '<<',
    ' ',
    '\t',
    '$(',
    '${',
    'a[$(',
    ')]',
    ' b=',
]
CODE = f'touch {CANARY}'
hostile = st.lists(st.sampled_from([*PIECES, CODE, f'\n{CODE}\n', f'$({CODE})', f'`{CODE}`', f';{CODE};', f'a[$({CODE})]']), max_size=9).map(''.join)


def _within(opening: str, inner: str) -> str:
    return opening.replace('{{', '\1').replace('{}', inner).replace('\1', '{{')


@st.composite
def templates(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(['{x}', 'echo {x}', 'echo {x} {y}', "'{x}'", '"{x}"', '\n{x}\n']))
    for opening in draw(st.lists(st.sampled_from(OPENINGS), max_size=4)):
        text = _within(opening, text)
    for opening in draw(st.lists(st.sampled_from(OPENINGS), max_size=2)):
        text = f'{_within(opening, draw(st.sampled_from(["a", "it", "it$"])))}\n{text}'
    return text


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=templates(), x=hostile, y=hostile)
def test_no_value_is_code_in_any_nest_of_places(text: str, x: str, y: str) -> None:
    try:
        filled = fill(text, x=x, y=y)
    except ValueError:
        return
    bash(filled)
    assert not Path(CANARY).exists(), filled


SEEN = [
    *(
        '{}',
        '( {})',
        '$(\n{}\n)',
        '"$(\n{}\n)"',
        "'a'; {}",
        '"a"; {}',
        '# it\'s "\n{}',
        'case q in *) {};; esac',
        '{{ {}; }}',
        'if {}; then :; fi',
        'f() {{ {}; }}; f',
    ),
    *(
        'cat <<E\nit\'s "\nE\n:\n{}',
        "cat <<'E F' >&2\nit's $( `\nE F\n:\n{}",
        '[[ a == [[:alpha:]] ]] && {}',
        "echo ${{Y:-'}}'}}; {}",
        'echo $((1<<2)); {}',
    ),
    *(
        "echo $'it\\'s'; {}",
        'echo `echo "a"`; {}',
        'a=("(" b); {}',
        'echo "$(echo \'"\')"; {}',
        ': $(case a in a) echo "x)";; (b) :;; esac); {}',
        "echo \\'; {}",
    ),
]
"""What stands around a command that is run all the same. (After a here-document in $(…) bash 5.2 drops what follows a `;` in the next line.)"""
SHOWS = ['printf "<%s>" {x} >&3', 'printf "<%s>" "{x}" >&3', "printf '<%s>' '{x}' >&3", 'printf "<%s>" $\'{x}\' >&3', 'v={x}; printf "<%s>" "$v" >&3']


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(show=st.sampled_from(SHOWS), around=st.lists(st.sampled_from(SEEN), max_size=4), value=hostile)
def test_a_value_that_is_taken_is_what_the_program_sees(show: str, around: list[str], value: str) -> None:
    text = show
    for each in around:
        text = _within(each, text)
    Path('seen').unlink(missing_ok=True)
    filled = fill(text, x=value)
    bash(f'exec 3>seen\n{filled}')
    assert Path('seen').read_bytes() == f'<{value}>'.encode(), filled
