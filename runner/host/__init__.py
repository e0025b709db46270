"""Faces the application.

    loading     from the text `app:main` to the callable
    wsgi        Request -> environ -> the application -> the answer (PEP 3333)
    later       an answer that comes later, from whichever thread (runner.streaming)
    turns       from any thread onto the loop's
    threads     the same in application threads
    timer       how long the application has been called without a pause
    error_page  an exception -> a page: helpful to its author, silent to everybody else

Law: a host knows no wire and no socket; it gets an Exchange and answers through it.
"""
