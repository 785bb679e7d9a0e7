from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from email import policy
from email.parser import BytesParser
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay_parsl.flows.actions import notify
from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.actions.mail import fill, message_of, read_mail
from relay_parsl.flows.actions.notify import Notify
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.testing import MemoryRecords
from tests.fakes.smtp import SmtpServer

BODY = {
    'notification_method': 'email',
    'notification_priority': 'high',
    'body_template': '<html><body><h1>Hello $Name</h1></body></html>',
    'body_mimetype': 'text/html',
    'body_variables': {'Name': 'Ann & Bob <script>'},
    'destination': 'Ann <ann@example.org>, bob@example.org',
    'sender': 'flows@example.org',
    'subject': 'Scan 7 schön',
}


@pytest.fixture(name='certificate')
def _certificate(tmp_path: Path) -> ssl.SSLContext:
    """Of 127.0.0.1, signed by itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, '127.0.0.1')])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address('127.0.0.1'))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / 'cert.pem').write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / 'key.pem').write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / 'cert.pem', tmp_path / 'key.pem')
    return context


@pytest.fixture(name='server')
def _server() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


def send(body: Any, records: MemoryRecords | None = None, **settings: Any) -> ActionStatus:
    action = Notify(Surroundings(records or MemoryRecords(), settings, lambda _: None, lambda: 2e9))
    return action.run(Call('run:Tell:1', body, time=1e9))


def test_a_mail_arrives_as_it_was_meant(server: SmtpServer) -> None:
    status = send(BODY, host='127.0.0.1', port=server.port)
    assert (status.status, status.details['refused']) == ('SUCCEEDED', {})
    [found] = server.received
    message = BytesParser(policy=policy.default).parsebytes(found.message.as_bytes())
    assert (found.sender, found.recipients) == ('flows@example.org', ['ann@example.org', 'bob@example.org'])
    assert (message['Subject'], message['From'], message['Importance']) == ('Scan 7 schön', 'flows@example.org', 'high')
    assert message['Message-ID'] == status.details['message_id']
    assert message.get_content_type() == 'text/html'
    assert message.get_content().strip() == '<html><body><h1>Hello Ann &amp; Bob &lt;script&gt;</h1></body></html>'


@pytest.mark.parametrize(
    ('template', 'filled'),
    [
        ('$a and ${b}', '1 and x'),
        ('costs $$5', 'costs $5'),
        ('$unknown stays', '$unknown stays'),
        ('$a.__class__ {a} {{a}} %(a)s', '1.__class__ {a} {{a}} %(a)s'),
        ('${a', '${a'),
        ('$t $n', 'true '),
    ],
)
def test_templates_know_names_and_nothing_else(template: str, filled: str) -> None:
    assert fill(template, {'a': 1, 'b': 'x', 't': True, 'n': None}, 'text/plain') == filled


def test_values_are_not_filled_in_again_and_cannot_be_headers() -> None:
    body = {**BODY, 'body_variables': {'Name': '$Name\r\n.\r\nRCPT TO:<eve@example.org>'}}
    text = message_of(read_mail(body, ''), 'r:S:1', 1.0).as_bytes().decode()
    assert '$Name' in text
    assert text.index('RCPT') > text.index('\r\n\r\n')


def test_a_dot_on_a_line_of_its_own_does_not_end_the_mail(server: SmtpServer) -> None:
    text = 'before\n.\nRCPT TO:<eve@example.org>\nafter'
    send({**BODY, 'body_template': text, 'body_mimetype': 'text/plain'}, host='127.0.0.1', port=server.port)
    assert server.received[0].message.get_payload().split() == text.split()


def test_some_recipients_may_be_refused(server: SmtpServer) -> None:
    server.answers['RCPT TO:<ann'] = '550 moved'
    assert send(BODY, host='127.0.0.1', port=server.port).details['refused'] == {'ann@example.org': '550 moved'}
    assert server.received[0].recipients == ['bob@example.org']


def test_a_goodbye_that_fails_makes_no_failure_of_a_mail_that_was_taken(server: SmtpServer) -> None:
    server.answers['QUIT'] = '421 too late'
    assert send(BODY, host='127.0.0.1', port=server.port).status == 'SUCCEEDED'


def test_a_server_that_is_not_there_is_a_failure_with_its_name(server: SmtpServer) -> None:
    server.answers['MAIL'] = '451 try later'
    assert send(BODY, host='127.0.0.1', port=server.port).details['description'] == f'127.0.0.1:{server.port}: 451 try later'
    status = send(BODY, host='127.0.0.1', port=1)
    assert (status.status, status.details['code']) == ('FAILED', 'MailNotSent')
    assert '127.0.0.1:1' in status.details['description']


def test_a_password_goes_only_over_an_encrypted_way(certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / 'password'
    secret.write_text('geheim\n')
    secret.chmod(0o600)
    monkeypatch.setenv('SSL_CERT_FILE', str(tmp_path / 'cert.pem'))
    settings = {'host': '127.0.0.1', 'username': 'flows', 'password_file': str(secret)}
    with SmtpServer(certificate, {'flows': 'geheim'}) as server:
        status = send(BODY, port=server.port, **settings)
        assert status.status == 'SUCCEEDED', status.details
        assert (server.received[0].encrypted, server.received[0].account) == (True, 'flows')
    with SmtpServer(None, {'flows': 'geheim'}) as server:
        assert send(BODY, port=server.port, **settings).status == 'FAILED'
        assert server.received == []


def test_a_certificate_that_nobody_knows_is_refused(certificate: ssl.SSLContext) -> None:
    with SmtpServer(certificate) as server:
        status = send(BODY, host='127.0.0.1', port=server.port, starttls=True)
    assert 'certificate verify failed' in status.details['description']


def test_a_password_file_that_others_can_read_is_refused(server: SmtpServer, tmp_path: Path) -> None:
    secret = tmp_path / 'password'
    secret.write_text('geheim')
    secret.chmod(0o644)
    with pytest.raises(ActionUnableToRun, match='password_file'):
        send(BODY, host='127.0.0.1', port=server.port, username='flows', password_file=str(secret))


def test_credentials_of_the_request_are_used_and_never_written_down(
    certificate: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('SSL_CERT_FILE', str(tmp_path / 'cert.pem'))
    records = MemoryRecords()
    with SmtpServer(certificate, {'ann': 'geheim'}) as server:
        value = {'hostname': '127.0.0.1', 'port': server.port, 'username': 'ann', 'password': 'geheim'}
        aws = {'credential_type': 'ses', 'credential_value': {'region_name': 'us-east-1'}}
        smtp = {'credential_method': 'email', 'credential_type': 'smtp', 'credential_value': value}
        assert send({**BODY, 'send_credentials': [aws, smtp]}, records).status == 'SUCCEEDED'
        assert server.received[0].account == 'ann'
    assert 'geheim' not in str(list(records.scan()))


def test_the_settings_server_is_used_whatever_the_request_says(server: SmtpServer) -> None:
    value = {'hostname': 'smtp.example.org', 'username': 'ann', 'password': 'geheim'}
    body = {**BODY, 'send_credentials': [{'credential_type': 'smtp', 'credential_value': value}]}
    assert send(body, host='127.0.0.1', port=server.port).status == 'SUCCEEDED'
    assert server.received[0].account == ''


def test_a_mail_that_may_have_been_sent_goes_again_under_the_same_id(server: SmtpServer) -> None:
    records = MemoryRecords()
    first = send(BODY, records, host='127.0.0.1', port=server.port)
    key = 'notify/action/run:Tell:1'
    row = records.get(key)
    del row['ended']  # as it stands when the process dies between the server's word and its own
    records.put(key, row)
    assert send(BODY, records, host='127.0.0.1', port=server.port).details == first.details
    assert len({each.message['Message-ID'] for each in server.received}) == 1
    assert len(server.received) == 2


@contextmanager
def babbler(words: bytes, pause: float) -> Iterator[int]:
    """A server that says the same again and again; its port."""
    over = threading.Event()

    def talk(listener: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while not over.wait(pause):
                    connection.sendall(words)

    with socket.create_server(('127.0.0.1', 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            listener.close()
            thread.join(10)


@pytest.mark.parametrize(
    ('words', 'pause', 'said'), [(b'220-' + b'x' * 4000 + b'\r\n', 0.0, 'more than 65536 bytes'), (b'2', 0.01, 'not done after 0.3 s')]
)
def test_a_server_has_no_end_of_time_and_words(monkeypatch: pytest.MonkeyPatch, words: bytes, pause: float, said: str) -> None:
    if pause:
        monkeypatch.setattr(notify, 'TALK', 0.3)
    with babbler(words, pause) as port:
        status = send(BODY, host='127.0.0.1', port=port)
    assert (status.status, status.details['code']) == ('FAILED', 'MailNotSent')
    assert said in status.details['description']


@pytest.mark.parametrize('place', [{'hostname': 'a..b', 'port': 25}, {'hostname': '127.0.0.1', 'port': 10**9}])
def test_a_server_that_there_cannot_be_is_no_fault_of_ours(place: dict[str, Any]) -> None:
    status = send({**BODY, 'send_credentials': [{'credential_type': 'smtp', 'credential_value': place}]})
    assert (status.status, status.details['code']) == ('FAILED', 'MailNotSent')
