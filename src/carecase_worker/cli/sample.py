"""Synthetic cases: of no real person, each with every kind of field."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from carecase_worker.clock import Dice

_FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
_DAYS = 2190
_REASONS = ("HYPERTENSION", "DIABETES", "COPD", "ASTHMA", "PRENATAL", "ONCOLOGY", "BEHAVIORAL", "TRANSITION")
_STATUSES = ("OPEN", "PENDING", "CLOSED")
_CARE_PLANS = (1, 2, 3, 5, 8)
_WORDS = ("verified", "by", "phone", "with", "the", "plan", "benefits", "active", "no", "referral", "needed", "today")


def cases(count: int, dice: Dice, care_plan: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield cases with the keys 1 to `count`, valid by the contract."""
    for key in range(1, count + 1):
        start = _day(dice)
        yield {
            "case_Key": key,
            "carePlan_Key": care_plan if care_plan is not None else _one(_CARE_PLANS, dice),
            "do_Not_Contact": dice.roll() < 0.05,
            "appointment_Date": _text(start + timedelta(days=30)),
            "assessment_Date": _text(start + timedelta(days=2)),
            "case_Assign_Type": _one(("USER", "TEAM"), dice),
            "case_End_Date": _text(start + timedelta(days=90)) if dice.roll() < 0.5 else None,
            "case_ID": f"CASE-{key:010d}",
            "case_Priority": int(dice.roll() * 5) + 1,
            "case_Reason": _one(_REASONS, dice),
            "case_Score": round(dice.roll() * 100, 2),
            "case_Start_Date": _text(start),
            "case_Status": _one(_STATUSES, dice),
            "division_ID": f"DIV{int(dice.roll() * 50):03d}",
            "eligibility_Verified": _text(start + timedelta(days=1)),
            "eligibility_Verified_Comment": " ".join(_one(_WORDS, dice) for _ in range(8)),
            "group_ID": f"GRP{int(dice.roll() * 5000):05d}",
            "member_Seq": f"{int(dice.roll() * 4) + 1:02d}",
            "provider_ID": f"PRV{int(dice.roll() * 90000):06d}",
            "subscriber_ID": f"{int(dice.roll() * 10**9):09d}",
        }


def _one(options: Sequence[Any], dice: Dice) -> Any:
    return options[int(dice.roll() * len(options))]


def _day(dice: Dice) -> datetime:
    return _FIRST_DAY + timedelta(days=int(dice.roll() * _DAYS), minutes=int(dice.roll() * 1440))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
