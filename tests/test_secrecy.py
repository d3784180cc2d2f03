"""Tokens are found by their real form, wherever they are, and are never shown."""

import time
from pathlib import Path
from urllib.parse import quote

import pytest

from davidgen_hf.errors import SettingError
from davidgen_hf.secrecy import api_key, hide, holds_secret, refuse_secrets

HUB = "hf_" + "aBcDeF" * 6
TOKENS = [
    HUB,
    "api_org_" + "aBcDeF" * 6,
    "sk-" + "a1B2" * 12,
    "sk-proj-" + "a1_B-" * 10,
    "sk-ant-api03-" + "a1_B-" * 18,
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 20,
    "glpat-" + "a1B2c" * 4,
    "AKIA" + "A1B2" * 4,
    "AIza" + "a1_B-" * 7,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLW9m",
]
NAMES = [
    "hf_articles.jsonl",
    "sk-wikipedia.jsonl",
    "hf-internal-testing/fixtures",
    "sk-learn-documentation-of-2020-as-plain-text-files.parquet",
    "hf_datasets_of_many_people_2024_first_part.csv",
    "glpat-articles.txt",
    "ghp_notes.txt",
    "http://127.0.0.1:8000/v1",
    "http://host:8000/path/with@sign",
    "risk-free-tasks/sk-tasks",
    "eyJ.txt",
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_hidden_and_refused(token):
    assert hide(f"a {token}, b") == "a [hidden], b"
    for settings in ({"a": [{"b": f"x/{token}"}]}, {"a": {token: 1}}):
        with pytest.raises(SettingError) as refused:
            refuse_secrets(settings, "recipe")
        assert token not in str(refused.value)
        assert "holds a token or password" in str(refused.value)


@pytest.mark.parametrize("cut", ["\n", "\\n", "\r\n  "])
def test_a_token_over_two_lines_is_refused(cut):
    with pytest.raises(SettingError, match=r"recipe\.a holds"):
        refuse_secrets({"a": HUB[:20] + cut + HUB[20:]}, "recipe")


@pytest.mark.parametrize("name", NAMES)
def test_everyday_names_are_not_tokens(name):
    assert hide(name) == name
    refuse_secrets({name: name}, "recipe")


@pytest.mark.parametrize("user", ["me:pass", "me:p/a:s+s", ":pass", "token"])
def test_what_is_before_the_host_is_hidden(user):
    assert hide(f"see https://{user}@host/x.") == "see https://[hidden]@host/x."


def test_the_password_of_an_address_that_was_read_as_a_path_is_hidden():
    assert hide(f"see {Path('https://me:pass@host/x')}.") == "see https:/[hidden]@host/x."


def test_a_private_key_is_hidden():
    assert hide("a -----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- b") == "a [hidden] b"


@pytest.mark.parametrize("secret", ["Ab3/x+y==", "two\nlines", "ünïcode", "a\tb\tc"])
def test_the_environments_own_are_hidden_in_every_form(monkeypatch, secret):
    monkeypatch.setenv("HF_TOKEN", secret)
    for form in (secret, repr(secret), ascii(secret), quote(secret, safe=""), quote(secret)):
        assert hide(f"({form})").replace("'", "") == "([hidden])"


def test_a_part_of_a_key_is_hidden_too(monkeypatch):
    monkeypatch.setenv("DAVIDGEN_API_KEY", "first-part\nsecond-part")
    assert hide("header: second-part") == "header: [hidden]"


@pytest.mark.parametrize("key", ["two\nlines", "ключ", "a\tb", "\x7fa"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("DAVIDGEN_API_KEY", key)
    with pytest.raises(
        SettingError, match=r"DAVIDGEN_API_KEY holds a line break or a character outside ASCII\."
    ) as no:
        api_key()
    assert key not in str(no.value)


def test_a_key_may_end_with_a_line_break(monkeypatch):
    monkeypatch.setenv("DAVIDGEN_API_KEY", " key-of-a-server\n")
    assert api_key() == "key-of-a-server"


@pytest.mark.parametrize(
    "code",
    [
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzKEY12",
        'String dbPassword = "Zx9!kLm28QwErt";',
        'SECRET_KEY = "django-insecure-8f$k2jd9#kd02jf82hf92hf"',
        'apiKey := "9f8a7b6c5d4e3f2a1b0c9f8a7b6c5d4e"',
        'headers = {"Authorization": "Bearer 9f8a7b6c5d4e3f2a1b0c"}',
        'connect("postgres://bob:s3cr3tpw@db.corp.com/x")',
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ",
        "sk_live_" + "a1B2c3D4" * 3,
        "npm_" + "a1B2c3D4e5F6" * 3,
    ],
)
def test_code_holds_a_secret(code):
    assert holds_secret(code)


@pytest.mark.parametrize(
    "code",
    [
        'read("s3://anonymous@data/x"); clone("git+ssh://git@host/x"); get("https://user:password@host/")',
        'password = os.environ["DB_PASSWORD_PROD1"]',
        'secret_key_name = "my-secret-key-v2"; API_KEY_HEADER = "X-Api-Key-Version-2"',
        'token = "BEGIN_TOKEN_1"; tokenizer = "gpt2-medium-355M"; api_key="YOUR_API_KEY_123"',
        'AUTH_PASSWORD_VALIDATORS = "django.contrib.auth.password_validation.MinimumLength8"',
        'DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"',
    ],
)
def test_code_holds_none(code):
    assert not holds_secret(code)


@pytest.mark.parametrize("unit", ["password", 'token="', "A:a@", "://a:", "Bearer a", "SECRET_", "a1", "eyJa"])
def test_looking_for_secrets_takes_linear_time(unit):
    started = time.process_time()
    holds_secret(unit * (100_000 // len(unit)))
    assert time.process_time() - started < 8
