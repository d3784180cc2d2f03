"""What a server may answer to a request, right and wrong: each is called with the handler, the body and a number."""

import gzip
import json
import time


def texts(handler, body, number):
    handler.reply({"choices": [{"index": at, "text": f"{body['prompt']}!{at}"} for at in range(body["n"])]})


def server_error(handler, body, number):
    handler.reply({"error": "out of luck"}, status=500)


def half_a_body(handler, body, number):
    handler.send(b'{"choices": [{"index": 0, "te', length=400)
    handler.close_connection = True


def half_a_body_of_unknown_length(handler, body, number):
    handler.send(b'{"choices": [{"index": 0, "te')


def garbage(handler, body, number):
    handler.send(b"<html>\xff\xfe come back later </html>")


def hang_up(handler, body, number):
    handler.close_connection = True


def nothing_at_all(handler, body, number):
    time.sleep(1.0)


def bad_request(handler, body, number):
    handler.reply({"error": "prompt is too long"}, status=400)


def no_texts(handler, body, number):
    handler.reply({"choices": [{"index": 0, "message": {"content": "a chat"}}]})


def too_few_texts(handler, body, number):
    handler.reply({"choices": []})


def elsewhere(handler, body, number):
    handler.reply({}, status=307, headers={"Location": "http://127.0.0.1:1/v1/completions"})


def choices(body, **of_each):
    return [{"index": at, "text": f"text {at}", **of_each} for at in range(body["n"])]


def knows_no_top_k(handler, body, number):
    handler.reply({"error": {"message": "Unrecognized request argument: top_k"}}, status=400)


def wants_money(handler, body, number):
    handler.reply({"error": "Payment required"}, status=402)


def error_with_200(handler, body, number):
    handler.reply({"error": {"message": "CUDA out of memory"}})


def ignores_n(handler, body, number):
    handler.reply({"choices": choices(body)[:1]})


def aborts(handler, body, number):
    handler.reply({"choices": choices(body, finish_reason="abort")})


def text_is_a_number(handler, body, number):
    handler.reply({"choices": choices(body, text=5)})


def half_a_surrogate_pair(handler, body, number):
    handler.reply({"choices": choices(body, text="Explain \ud800 this.")})


def deep(handler, body, number):
    handler.send(b"[" * 100_000)


def compressed(handler, body, number):
    handler.send(gzip.compress(json.dumps({"choices": choices(body)}).encode()), headers={"Content-Encoding": "gzip"})


def waits_for_ever(handler, body, number):
    handler.reply({}, status=429, headers={"Retry-After": "9" * 30})
