"""The 71 SCP-ECG statements that PTB-XL uses, and how they group.

Facts of ISO 11073-91064 (SCP-ECG) and of PTB-XL (Wagner et al.: PTB-XL, a large publicly available
electrocardiography dataset, Sci. Data 7:154, 2020): code, kinds of the statement (`d`iagnostic,
`f`orm, `r`hythm), diagnostic class and subclass, meaning.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple


class Statement(NamedTuple):
    """State one SCP-ECG code; class and subclass are empty where it is no diagnosis."""

    code: str
    kinds: str
    diagnostic_class: str
    diagnostic_subclass: str
    description: str


_TABLE = (
    ("NDT", "df", "STTC", "STTC", "non-diagnostic T abnormalities"),
    ("NST_", "df", "STTC", "NST_", "non-specific ST changes"),
    ("DIG", "df", "STTC", "STTC", "digitalis-effect"),
    ("LNGQT", "df", "STTC", "STTC", "long QT-interval"),
    ("NORM", "d", "NORM", "NORM", "normal ECG"),
    ("IMI", "d", "MI", "IMI", "inferior myocardial infarction"),
    ("ASMI", "d", "MI", "AMI", "anteroseptal myocardial infarction"),
    ("LVH", "d", "HYP", "LVH", "left ventricular hypertrophy"),
    ("LAFB", "d", "CD", "LAFB/LPFB", "left anterior fascicular block"),
    ("ISC_", "d", "STTC", "ISC_", "non-specific ischemic"),
    ("IRBBB", "d", "CD", "IRBBB", "incomplete right bundle branch block"),
    ("1AVB", "d", "CD", "_AVB", "first degree AV block"),
    ("IVCD", "d", "CD", "IVCD", "non-specific intraventricular conduction disturbance (block)"),
    ("ISCAL", "d", "STTC", "ISCA", "ischemic in anterolateral leads"),
    ("CRBBB", "d", "CD", "CRBBB", "complete right bundle branch block"),
    ("CLBBB", "d", "CD", "CLBBB", "complete left bundle branch block"),
    ("ILMI", "d", "MI", "IMI", "inferolateral myocardial infarction"),
    ("LAO/LAE", "d", "HYP", "LAO/LAE", "left atrial overload/enlargement"),
    ("AMI", "d", "MI", "AMI", "anterior myocardial infarction"),
    ("ALMI", "d", "MI", "AMI", "anterolateral myocardial infarction"),
    ("ISCIN", "d", "STTC", "ISCI", "ischemic in inferior leads"),
    ("INJAS", "d", "MI", "AMI", "subendocardial injury in anteroseptal leads"),
    ("LMI", "d", "MI", "LMI", "lateral myocardial infarction"),
    ("ISCIL", "d", "STTC", "ISCI", "ischemic in inferolateral leads"),
    ("LPFB", "d", "CD", "LAFB/LPFB", "left posterior fascicular block"),
    ("ISCAS", "d", "STTC", "ISCA", "ischemic in anteroseptal leads"),
    ("INJAL", "d", "MI", "AMI", "subendocardial injury in anterolateral leads"),
    ("ISCLA", "d", "STTC", "ISCA", "ischemic in lateral leads"),
    ("RVH", "d", "HYP", "RVH", "right ventricular hypertrophy"),
    ("ANEUR", "d", "STTC", "STTC", "ST-T changes compatible with ventricular aneurysm"),
    ("RAO/RAE", "d", "HYP", "RAO/RAE", "right atrial overload/enlargement"),
    ("EL", "d", "STTC", "STTC", "electrolytic disturbance or drug (former EDIS)"),
    ("WPW", "d", "CD", "WPW", "Wolf-Parkinson-White syndrome"),
    ("ILBBB", "d", "CD", "ILBBB", "incomplete left bundle branch block"),
    ("IPLMI", "d", "MI", "IMI", "inferoposterolateral myocardial infarction"),
    ("ISCAN", "d", "STTC", "ISCA", "ischemic in anterior leads"),
    ("IPMI", "d", "MI", "IMI", "inferoposterior myocardial infarction"),
    ("SEHYP", "d", "HYP", "SEHYP", "septal hypertrophy"),
    ("INJIN", "d", "MI", "IMI", "subendocardial injury in inferior leads"),
    ("INJLA", "d", "MI", "AMI", "subendocardial injury in lateral leads"),
    ("PMI", "d", "MI", "PMI", "posterior myocardial infarction"),
    ("3AVB", "d", "CD", "_AVB", "third degree AV block"),
    ("INJIL", "d", "MI", "IMI", "subendocardial injury in inferolateral leads"),
    ("2AVB", "d", "CD", "_AVB", "second degree AV block"),
    ("ABQRS", "f", "", "", "abnormal QRS"),
    ("PVC", "f", "", "", "ventricular premature complex"),
    ("STD_", "f", "", "", "non-specific ST depression"),
    ("VCLVH", "f", "", "", "voltage criteria (QRS) for left ventricular hypertrophy"),
    ("QWAVE", "f", "", "", "Q waves present"),
    ("LOWT", "f", "", "", "low amplitude T-waves"),
    ("NT_", "f", "", "", "non-specific T-wave changes"),
    ("PAC", "f", "", "", "atrial premature complex"),
    ("LPR", "f", "", "", "prolonged PR interval"),
    ("INVT", "f", "", "", "inverted T-waves"),
    ("LVOLT", "f", "", "", "low QRS voltages in the frontal and horizontal leads"),
    ("HVOLT", "f", "", "", "high QRS voltage"),
    ("TAB_", "f", "", "", "T-wave abnormality"),
    ("STE_", "f", "", "", "non-specific ST elevation"),
    ("PRC(S)", "f", "", "", "premature complex(es)"),
    ("SR", "r", "", "", "sinus rhythm"),
    ("AFIB", "r", "", "", "atrial fibrillation"),
    ("STACH", "r", "", "", "sinus tachycardia"),
    ("SARRH", "r", "", "", "sinus arrhythmia"),
    ("SBRAD", "r", "", "", "sinus bradycardia"),
    ("PACE", "r", "", "", "normal functioning artificial pacemaker"),
    ("SVARR", "r", "", "", "supraventricular arrhythmia"),
    ("BIGU", "r", "", "", "bigeminal pattern (unknown origin, SV or Ventricular)"),
    ("AFLT", "r", "", "", "atrial flutter"),
    ("SVTAC", "r", "", "", "supraventricular tachycardia"),
    ("PSVT", "r", "", "", "paroxysmal supraventricular tachycardia"),
    ("TRIGU", "r", "", "", "trigeminal pattern (unknown origin, SV or Ventricular)"),
)

STATEMENTS = {row[0]: Statement(*row) for row in _TABLE}
"""All statements by code, in the publisher's order."""

_COLUMNS = (
    "",
    "description",
    "diagnostic",
    "form",
    "rhythm",
    "diagnostic_class",
    "diagnostic_subclass",
    "Statement Category",
    "SCP-ECG Statement Description",
    "AHA code",
    "aECG REFID",
    "CDISC Code",
    "DICOM Code",
)


def write_statements(path: Path) -> None:
    """Write `scp_statements.csv` with the publisher's columns.

    Category and the codes of other vocabularies stay empty; nothing here reads them.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for one in STATEMENTS.values():
            flags = ["1.0" if kind in one.kinds else "" for kind in "dfr"]
            groups = [one.diagnostic_class, one.diagnostic_subclass]
            writer.writerow(
                [one.code, one.description, *flags, *groups, "", one.description, *[""] * 4]
            )
