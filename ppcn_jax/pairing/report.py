"""The report that a person looks through: a table and checkerboards of both photos."""

import html

import cv2
import numpy as np

from ppcn_jax.pairing.output import Output, Record
from ppcn_jax.pairing.windows import REASONS, STRIDE, WINDOW
from ppcn_jax.runtime.files import write_bytes

_LONGEST = 1600  # px of a checkerboard's longer side
_SQUARES = 12  # along the longer side

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em }
table { border-collapse: collapse } td, th { padding: .2em .8em; text-align: right }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left }
tr { border-bottom: 1px solid #ccc } img { max-width: 100% } .failed, .warning { color: #a00 }
"""


def checkerboard(phone: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Alternate squares of two aligned frames, uint8 `[H, W, 3]`, shrunk to at most 1600 px.

    Lines go on from square to square where the frames are aligned. The first square is the phone's.
    """
    factor = _LONGEST / max(phone.shape)
    if factor < 1:
        size = (round(phone.shape[1] * factor), round(phone.shape[0] * factor))
        phone, camera = (
            cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in (phone, camera)
        )
    side = max(1, -(-max(phone.shape) // _SQUARES))
    rows, columns = (np.arange(length) // side for length in phone.shape[:2])
    odd = (rows[:, None] + columns) % 2 == 1
    return np.where(odd[..., None], camera, phone)


def summary(record: Record) -> str:
    """One line about a scene."""
    if record["status"] != "used":
        return f"failed: {record['reason']}"
    residual = record["median_residual_px"]
    shift = "residual unknown" if residual is None else f"residual {residual:.2f} px"
    return (
        f"{record['inliers']:,} inliers, {shift}, {record['good_windows']:,} of "
        f"{record['windows']:,} windows fit ({record['good_share']:.0%})"
    )


def write_html(output: Output) -> None:
    """Write `report.html`, which needs only the pictures in `report/` beside it."""
    records = sorted(output.records.items())
    used = sum(record["status"] == "used" for _, record in records)
    reasons = "".join(f"<li><b>{name}</b>: {html.escape(REASONS[name])}" for name in REASONS)
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Pairs</title><style>{_STYLE}</style>
<h1>{used} of {len(records)} scenes are paired</h1>
<table><tr><th>scene<th>inliers<th>median residual<th>windows that fit<th>remarks
{"".join(_row(name, record) for name, record in records)}</table>
<p>Inliers are features that both photos share. The residual is the distance, in px of the phone's
photo, between the same detail in both frames after alignment. Windows are {WINDOW} px wide,
{STRIDE} px apart; training crops are taken from those that fit. The others are:<ul>{reasons}</ul>
<p>In the checkerboards, squares of the phone's photo and of the aligned camera's alternate, starting
with the phone's at the top left. Lines that break between squares are not aligned.
{"".join(_picture(name, record) for name, record in records)}
"""
    write_bytes(output.folder / "report.html", page.encode())


def _row(name: str, record: Record) -> str:
    scene = html.escape(name)
    if record["status"] != "used":
        reason = html.escape(record["reason"])
        return f'<tr class="failed"><td>{scene}<td><td><td><td>failed: {reason}\n'
    residual = record["median_residual_px"]
    shift = "unknown" if residual is None else f"{residual:.2f} px"
    windows = f"{record['good_windows']} of {record['windows']} ({record['good_share']:.0%})"
    remarks = "<br>".join(map(html.escape, record["warnings"]))
    return (
        f'<tr><td><a href="#{scene}">{scene}</a><td>{record["inliers"]:,}<td>{shift}<td>{windows}'
        f'<td class="warning">{remarks}\n'
    )


def _picture(name: str, record: Record) -> str:
    if record["status"] != "used":
        return ""
    scene = html.escape(name)
    skipped = ", ".join(f"{n} {reason}" for reason, n in record["skipped_windows"].items() if n)
    return (
        f'<h2 id="{scene}">{scene}</h2>\n'
        f"<p>{html.escape(record['phone'])} and {html.escape(record['camera'])}, "
        f"{record['size'][0]} x {record['size'][1]} px. "
        f"Windows that do not fit: {skipped or 'none'}.\n"
        f'<p><img loading="lazy" src="report/{scene}.jpg" alt="checkerboard of {scene}">\n'
    )
