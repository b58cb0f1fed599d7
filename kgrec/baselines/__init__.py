"""Baselines with the same verbs as the model, one module a family.

=====================  =======================================  ============================
baseline               looks at                                 cold items
=====================  =======================================  ============================
Popularity             how many users an item has               score 0, all alike
TextNearest            text vectors of history and item         scored
TfidfProfile           words of history and item                scored
GraphNeighbourVote     neighbours of history and item           scored
ItemKNN, EASE, ALS     who used what                            score 0, all alike
LightGCN               who used what, smoothed over the graph   score 0, all alike
ContentRidge           factors, predicted from content          scored
KernelRidgeEASE        EASE scores, predicted from content      scored
DropoutNet, CLCRec     both, by gradient descent                scored
GraphSAGE, GAT         both, by messages along the edges        scored
=====================  =======================================  ============================
"""

from kgrec.baselines.als import ALS, ALSSettings
from kgrec.baselines.clcrec import CLCRec
from kgrec.baselines.content import Encoder
from kgrec.baselines.dropoutnet import DropoutNet
from kgrec.baselines.ease import EASE
from kgrec.baselines.graph_network import GAT, GraphNetworkSettings, GraphSAGE
from kgrec.baselines.lightgcn import LightGCN
from kgrec.baselines.neighbours import ItemKNN
from kgrec.baselines.popularity import Popularity
from kgrec.baselines.profiles import GraphNeighbourVote, TextNearest, TfidfProfile
from kgrec.baselines.ridge import ContentRidge, KernelRidgeEASE

__all__ = [
    "ALS",
    "EASE",
    "GAT",
    "ALSSettings",
    "CLCRec",
    "ContentRidge",
    "DropoutNet",
    "Encoder",
    "GraphNeighbourVote",
    "GraphNetworkSettings",
    "GraphSAGE",
    "ItemKNN",
    "KernelRidgeEASE",
    "LightGCN",
    "Popularity",
    "TextNearest",
    "TfidfProfile",
]
