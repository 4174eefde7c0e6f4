"""Reading, checking, analysing and drawing event logs: the command `evloop-trace`.

Logs are opened by `logs`, folded by what is in `model`, and drawn by what is in `views`; `cli` puts the
pieces together.
"""
