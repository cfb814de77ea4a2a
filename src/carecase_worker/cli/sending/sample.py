"""Synthetic cases of no real person, each with every type of field."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from carecase_worker.clock import Random

_FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
_DAYS = 2190
_REASONS = ("HYPERTENSION", "DIABETES", "COPD", "ASTHMA", "PRENATAL", "ONCOLOGY", "BEHAVIORAL", "TRANSITION")
_STATUSES = ("OPEN", "PENDING", "CLOSED")
_CARE_PLANS = (1, 2, 3, 5, 8)
_WORDS = ("verified", "by", "phone", "with", "the", "plan", "benefits", "active", "no", "referral", "needed", "today")


def cases(count: int, random: Random, care_plan: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield cases with the keys 1 to `count`, valid by the contract."""
    for key in range(1, count + 1):
        start = _day(random)
        yield {
            "case_Key": key,
            "carePlan_Key": care_plan if care_plan is not None else _one(_CARE_PLANS, random),
            "do_Not_Contact": random.random() < 0.05,
            "appointment_Date": _text(start + timedelta(days=30)),
            "assessment_Date": _text(start + timedelta(days=2)),
            "case_Assign_Type": _one(("USER", "TEAM"), random),
            "case_End_Date": _text(start + timedelta(days=90)) if random.random() < 0.5 else None,
            "case_ID": f"CASE-{key:010d}",
            "case_Priority": int(random.random() * 5) + 1,
            "case_Reason": _one(_REASONS, random),
            "case_Score": round(random.random() * 100, 2),
            "case_Start_Date": _text(start),
            "case_Status": _one(_STATUSES, random),
            "division_ID": f"DIV{int(random.random() * 50):03d}",
            "eligibility_Verified": _text(start + timedelta(days=1)),
            "eligibility_Verified_Comment": " ".join(_one(_WORDS, random) for _ in range(8)),
            "group_ID": f"GRP{int(random.random() * 5000):05d}",
            "member_Seq": f"{int(random.random() * 4) + 1:02d}",
            "provider_ID": f"PRV{int(random.random() * 90000):06d}",
            "subscriber_ID": f"{int(random.random() * 10**9):09d}",
        }


def _one(options: Sequence[Any], random: Random) -> Any:
    return options[int(random.random() * len(options))]


def _day(random: Random) -> datetime:
    return _FIRST_DAY + timedelta(days=int(random.random() * _DAYS), minutes=int(random.random() * 1440))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
