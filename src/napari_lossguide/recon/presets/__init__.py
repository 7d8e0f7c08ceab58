"""Every named method, under the headings that the docks and ``lossguide methods`` show."""

from napari_lossguide.recon.presets.begin_with import BEGIN_WITH
from napari_lossguide.recon.presets.classical import CLASSICAL
from napari_lossguide.recon.presets.peer import PEER
from napari_lossguide.recon.presets.published import PUBLISHED

__all__ = ["GROUPS"]

GROUPS = {
    "To begin with": BEGIN_WITH,
    "Peer 2023 (thesis)": PEER,
    "Published methods": PUBLISHED,
    "Classical": CLASSICAL,
}
