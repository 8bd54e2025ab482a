"""HLG light as SDR shows it.

ITU-R BT.2100 brightens HLG by its luma; zscale does it channel by channel, which makes pure colours too
strong. So the way from HLG to SDR is worked out here, as a table for ffmpeg's ``lut3d``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["KNEE", "PEAK", "WHITE", "hlg_to_sdr", "write_hlg_table"]

WHITE = 203
"""Nits of diffuse white in HDR footage (ITU-R BT.2408)."""
PEAK = 1000
"""Nits that become the white of SDR: the peak of most HDR footage."""
KNEE = 0.5
"""Share of diffuse white up to which light stays as it is; above it is rolled off."""
_STEPS = 33
_LUMA_2020 = np.array([0.2627, 0.678, 0.0593])
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Linear BT.2020 to linear BT.709 (ITU-R BT.2407)."""
_SYSTEM_GAMMA = 1.2
"""Of a screen of 1000 nits (BT.2100, table 5)."""


def hlg_to_sdr(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2020 HLG as BT.709, both (..., 3), full scale 0 to 1.

    Light is that of a screen of 1000 nits; what is above half of diffuse white is rolled off by its
    strongest channel, as ffmpeg's ``tonemap=mobius`` does it for PQ.
    """
    bright = (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    scene = np.where(code <= 0.5, code**2 / 3, bright)
    luma = np.maximum(scene @ _LUMA_2020, 1e-9)[..., None]
    light = scene * luma ** (_SYSTEM_GAMMA - 1) * (PEAK / WHITE) @ _TO_709.T
    strongest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    light = np.clip(light * (_rolled_off(strongest) / strongest), 0, 1)
    return np.asarray(light ** (1 / 2.4))  # a screen's curve (ITU-R BT.1886), as zscale takes it for PQ


def _rolled_off(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """A Möbius curve: straight up to the knee, then bent so that the peak comes to 1."""
    peak = PEAK / WHITE
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    bent = (b * b + 2 * b * KNEE + KNEE**2) / (b - a) * (light + a) / (light + b)
    return np.where(light <= KNEE, light, bent)


def write_hlg_table(path: Path) -> Path:
    """Write ``hlg_to_sdr`` as a ``.cube`` file there."""
    axis = np.linspace(0, 1, _STEPS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    rows = hlg_to_sdr(np.stack([red, green, blue], axis=-1)).reshape(-1, 3)
    lines = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in rows.tolist())
    path.write_text(f"LUT_3D_SIZE {_STEPS}\n{lines}\n", encoding="ascii")
    return path
