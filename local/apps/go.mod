module prometheus-fleet/apps

go 1.26
