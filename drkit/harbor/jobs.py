"""Harbor's jobs in a drill's own copy of its database: none may run there; never in another one.

jobservice, where it starts on an empty Redis, takes all schedules from the database (src/jobservice/sync),
runs what is due within minutes, and then whatever core asks for. It also takes from there which queues are
paused.
"""

from __future__ import annotations

from drkit.tools.postgres.sessions import Session

# Those that jobservice knows (src/jobservice/runtime/bootstrap.go), with those of earlier versions.
KINDS = (
    "AUDIT_LOGS_GDPR_COMPLIANT",
    "DEMO",
    "EXECUTION_SWEEP",
    "GARBAGE_COLLECTION",
    "IMAGE_GC",
    "IMAGE_REPLICATE",
    "IMAGE_SCAN",
    "IMAGE_SCAN_ALL",
    "P2P_PREHEAT",
    "PURGE_AUDIT",
    "PURGE_AUDIT_LOG",
    "REPLICATION",
    "RETENTION",
    "SBOM",
    "SCAN_ALL",
    "SCAN_DATA_EXPORT",
    "SCHEDULER",
    "SLACK",
    "SYSTEM_ARTIFACT_CLEANUP",
    "WEBHOOK",
)


def hold(session: Session) -> int:
    """Forget all schedules, and pause every queue; returns how many schedules there were.

    For before jobservice is started, and after core has migrated the database. Raises ToolFailed.
    """
    with session.transaction():
        found = int(session.value("SELECT count(*) FROM public.schedule"))
        session.execute("DELETE FROM public.schedule")
        session.execute(
            "INSERT INTO public.job_queue_status (job_type, paused) SELECT unnest(%s::text[]), true"
            " ON CONFLICT (job_type) DO UPDATE SET paused = true",
            (list(KINDS),),
        )
        session.execute("UPDATE public.job_queue_status SET paused = true")
    return found


def runs(session: Session) -> int:
    """How often all jobs that the database knows of have been run, together; raises ToolFailed."""
    return int(session.value("SELECT coalesce(sum(run_count), 0) FROM public.task"))
