"""Tests on one live local fleet: it comes up before the first of them and goes down after the last."""
