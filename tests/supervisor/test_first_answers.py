"""Who may answer before it is forked, after that was tried in vain."""

from runner.supervisor.first_answers import REST, FirstAnswers


def test_at_first_everybody_may() -> None:
    """Nothing speaks against it."""
    assert all(FirstAnswers().allowed(number) for number in range(1, 100))


def test_one_that_took_long_is_forgiven_after_a_while() -> None:
    """Neither the one that takes its place may, nor the next ones; and each time it takes twice as long."""
    answers = FirstAnswers()
    late, tried = [], []
    for number in range(1, 100):
        if answers.allowed(number):
            tried.append(number)
            late.append(answers.note_spent(number, ""))
    assert late == [REST, 2 * REST, 4 * REST, 8 * REST]
    assert tried == [1, 1 + 9, 1 + 9 + 17, 1 + 9 + 17 + 33]


def test_what_was_left_behind_is_not_forgiven() -> None:
    """Whatever else comes."""
    answers = FirstAnswers()
    assert answers.note_spent(1, "a thread") == 0
    assert not any(answers.allowed(number) for number in range(1, 10_000))
