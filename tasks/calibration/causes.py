"""The broad causes of each age group, and which of them the algorithms' own cause names belong to.

The names are those that InterVA and InSilicoVA print for the WHO 2016 verbal autopsy (openVA), and those of EAVA.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

AgeGroup = Literal["neonate", "child"]

BROAD_CAUSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "neonate": ("congenital_malformation", "pneumonia", "sepsis_meningitis_inf", "ipre", "other", "prematurity"),
        "child": (
            *("malaria", "pneumonia", "diarrhea", "severe_malnutrition", "hiv", "injury", "other"),
            *("other_infections", "nn_causes"),
        ),
    }
)

# Labels by which an algorithm says that it assigned no cause. Such deaths are left out, and counted.
UNASSIGNED = frozenset({"", "unspecified", "undetermined", "unknown", "na", "n/a", "nan", "none", "null", "missing"})

_AFTER_THE_FIRST_MONTH = frozenset({"malaria", "diarrhea", "severe_malnutrition", "hiv", "injury"})
_INJURIES = """
    Accid drowning and submersion; Accid expos to smoke fire & flame; Accid fall; Accid poisoning & noxious subs;
    Assault; Exposure to force of nature; Intentional self-harm; Other and unspecified external CoD;
    Other transport accident; Road traffic accident"""
_NON_COMMUNICABLE = """
    Abortion-related death; Acute abdomen; Acute cardiac disease; Anaemia of pregnancy; Asthma; Breast neoplasms;
    Chronic obstructive pulmonary dis; Contact with venomous plant/animal; Diabetes mellitus; Digestive neoplasms;
    Ectopic pregnancy; Epilepsy; Fresh stillbirth; Liver cirrhosis; Macerated stillbirth; Obstetric haemorrhage;
    Obstructed labour; Oral neoplasms; Other and unspecified cardiac dis; Other and unspecified maternal CoD;
    Other and unspecified NCD; Other and unspecified neonatal CoD; Other and unspecified neoplasms;
    Pregnancy-induced hypertension; Renal failure; Reproductive neoplasms MF; Respiratory neoplasms; Ruptured uterus;
    Severe anaemia; Sickle cell with crisis; Stroke; Other"""
_INFECTIONS = """
    Dengue fever; Haemorrhagic fever (non-dengue); Measles; Meningitis and encephalitis; Neonatal sepsis;
    Other and unspecified infect dis; Pertussis; Pregnancy-related sepsis; Pulmonary tuberculosis;
    Sepsis (non-obstetric); Tetanus"""

# Names in each list are separated by semicolons.
_SPECIFIC: Mapping[str, Mapping[str, str]] = {
    "neonate": {
        "congenital_malformation": "Congenital malformation; Malformation",
        "pneumonia": "Neonatal pneumonia; Acute resp infect incl pneumonia; Pneumonia",
        "sepsis_meningitis_inf": _INFECTIONS
        + "; Diarrhoeal diseases; Diarrhea; HIV/AIDS related death; Malaria; Sepsis; Meningitis; NNT",
        "ipre": "Birth asphyxia; Intrapartum",
        "other": _INJURIES + ";" + _NON_COMMUNICABLE + "; Severe malnutrition",
        "prematurity": "Prematurity; Preterm",
    },
    "child": {
        "malaria": "Malaria",
        "pneumonia": "Acute resp infect incl pneumonia; Neonatal pneumonia; Pneumonia",
        "diarrhea": "Diarrhoeal diseases; Diarrhea/Dysentery",
        "severe_malnutrition": "Severe malnutrition; Malnutrition",
        "hiv": "HIV/AIDS related death; AIDS",
        "injury": _INJURIES + "; Injury",
        "other": _NON_COMMUNICABLE,
        "other_infections": _INFECTIONS + "; Meningitis/Encephalitis; Other infections",
        "nn_causes": "Congenital malformation; Birth asphyxia; Prematurity; Malformation; Intrapartum; Preterm",
    },
}


def normalised(label: str) -> str:
    """Return ``label`` as it is looked up: without case, outer blanks and runs of blanks."""
    return " ".join(label.split()).casefold()


def other_age_of(label: str, age_group: str) -> str | None:
    """Return the age group that knows ``label``, where ``age_group`` does not."""
    name = normalised(label)
    if name in cause_table(age_group):
        return None
    return next((other for other in BROAD_CAUSES if other != age_group and name in cause_table(other)), None)


def seeming_age(counts: Mapping[str, int]) -> str | None:
    """Return the age group that deaths by label are of, going by causes that the other one hardly has.

    Of the public COMSA-Mozambique deaths, causes of the newborn are 40 % and more of neonates' and 5 % and less of
    children's; malaria, diarrhoea, malnutrition, HIV and injuries are under 1 % and over 25 %.
    """
    broad = cause_table("child")
    known = {label: n for label, n in counts.items() if normalised(label) in broad}
    total = sum(known.values())
    newborn = sum(n for label, n in known.items() if broad[normalised(label)] == "nn_causes")
    later = sum(n for label, n in known.items() if broad[normalised(label)] in _AFTER_THE_FIRST_MONTH)
    if total and newborn >= 0.25 * total:
        return "neonate"
    return "child" if total and later >= 0.1 * total else None


@cache
def spelled_causes(age_group: str) -> Mapping[str, str]:
    """Return the broad cause of every known name of ``age_group``, by the name as the algorithms print it."""
    return MappingProxyType(
        {
            " ".join(name.split()): broad
            for broad, names in _SPECIFIC[age_group].items()
            for name in (*names.split(";"), broad)
            if name.strip()
        }
    )


@cache
def cause_table(age_group: str) -> Mapping[str, str]:
    """Return the broad cause of every known name of ``age_group``, by normalised name."""
    return MappingProxyType({normalised(name): broad for name, broad in spelled_causes(age_group).items()})
