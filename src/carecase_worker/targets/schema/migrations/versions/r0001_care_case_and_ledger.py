"""The care cases, and the ledger of applied chunks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "care_case",
        sa.Column("case_key", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("appointment_date", moment),
        sa.Column("assessment_date", moment),
        sa.Column("careplan_key", sa.Integer, nullable=False),
        sa.Column("case_assign_type", sa.String(16)),
        sa.Column("case_end_date", moment),
        sa.Column("case_id", sa.String(64)),
        sa.Column("case_priority", sa.Integer),
        sa.Column("case_reason", sa.String(32)),
        sa.Column("case_score", sa.Double),
        sa.Column("case_start_date", moment),
        sa.Column("case_status", sa.String(8)),
        sa.Column("division_id", sa.String(20)),
        sa.Column("do_not_contact", sa.Boolean, nullable=False),
        sa.Column("eligibility_verified", moment),
        sa.Column("eligibility_verified_comment", sa.String(512)),
        sa.Column("case_close_reason", sa.String(32)),
        sa.Column("entry_date", moment, nullable=False),
        sa.Column("entry_user", sa.String(20)),
        sa.Column("group_id", sa.String(20)),
        sa.Column("member_seq", sa.String(2)),
        sa.Column("provider_id", sa.String(20)),
        sa.Column("subscriber_id", sa.String(9)),
        sa.Column("update_date", moment, nullable=False),
        sa.Column("update_user", sa.String(20)),
        sa.Column("ingest_version", sa.BigInteger, nullable=False),
        sa.Column("entry_version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ingest_ledger",
        sa.Column("job_id", sa.Uuid, primary_key=True),
        sa.Column("chunk_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.LargeBinary, nullable=False),
        sa.Column("applied_at", moment, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("ingest_ledger_applied_at", "ingest_ledger", ["applied_at"])
