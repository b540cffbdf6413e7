"""`python -m ingester_demo run ROLE …`: one process of the service, in which kombu knows the demo's broker."""

from celery.bin.celery import celery

from ingester_demo.folder_transport import register


def main(arguments: list[str]) -> int:
    """Run one role of the service until it ends; `arguments` are the role and the role's own arguments."""
    register()
    return _run_role(*arguments)


def _run_role(role: str = "", *arguments: str) -> int:
    """`listener`, or a command of Celery for the app `tasks`. Raises SystemExit when Celery's command ends."""
    if role == "listener":
        from listener import main as listen

        return listen()
    celery.main(["-A", "tasks", role, *arguments], prog_name="celery", auto_envvar_prefix="CELERY")
    return 0
