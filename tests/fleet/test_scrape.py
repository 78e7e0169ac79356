from fleet.plan import Plan
from fleet.scrape import federation_job


def test_a_federation_job_trusts_the_child_for_values_and_not_for_its_name(dev: Plan) -> None:
    leaf = federation_job(dev.federations_of("eu-1")[0], "a:1")
    assert leaf["job_name"] == "federate-eu-1"
    assert leaf["honor_labels"] is True
    assert leaf["track_timestamps_staleness"] is True
    assert leaf["params"] == {"match[]": ['{__name__=~"cluster:.*"}']}
    assert leaf["metric_relabel_configs"] == [
        {"action": "replace", "target_label": "cluster", "replacement": "eu-1"},
        {"action": "replace", "target_label": "region", "replacement": "eu"},
        {"action": "labeldrop", "regex": "job|instance|prometheus|prometheus_replica"},
    ]


def test_the_parent_of_a_region_confines_clusters_without_merging_them(dev: Plan) -> None:
    region = federation_job(dev.federations_of("eu")[0], "a:1")
    assert region["metric_relabel_configs"] == [
        {"action": "replace", "target_label": "region", "replacement": "eu"},
        {"action": "keep", "source_labels": ["cluster"], "regex": "|eu-1|eu-2"},
        {"action": "labeldrop", "regex": "job|instance|prometheus|prometheus_replica"},
    ]


def test_the_password_is_read_from_the_childs_own_key(dev: Plan) -> None:
    assert federation_job(dev.federations_of("eu-1")[0], "a:1")["basic_auth"] == {
        "username": "eu",
        "password_file": "/etc/prometheus/secrets/federation-credentials/eu-1",
    }
