package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/assets"
	"github.com/prometheus-operator/prometheus-operator/pkg/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const namespace = "monitoring"

// generated is Prometheus's configuration, and the files of /etc/prometheus/certs by name.
type generated struct {
	Config string            `json:"config"`
	Files  map[string]string `json:"files"`
}

func generate(given *json.Decoder) (any, error) {
	var input struct {
		Spec monitoringv1.PrometheusSpec `json:"spec"`
		// Texts by name and key, of the object's namespace.
		Secrets map[string]map[string]string `json:"secrets"`
		// YAML, as the Secret of additionalScrapeConfigs holds it.
		ScrapeConfigs string `json:"scrapeConfigs"`
	}
	given.DisallowUnknownFields()
	if err := given.Decode(&input); err != nil {
		return nil, err
	}
	meta := metav1.ObjectMeta{Name: "kube-prometheus-stack-prometheus", Namespace: namespace}
	object := &monitoringv1.Prometheus{ObjectMeta: meta, Spec: input.Spec}
	store := assets.NewTestStoreBuilder(secrets(input.Secrets)...)
	generator, err := prometheus.NewConfigGenerator(slog.New(slog.NewTextHandler(os.Stderr, nil)), object)
	if err != nil {
		return nil, err
	}
	// It checks them as well.
	if err := generator.AddRemoteWriteToStore(context.Background(), store, namespace, object.Spec.RemoteWrite); err != nil {
		return nil, err
	}
	config, err := generator.GenerateServerConfiguration(
		object, nil, nil, nil, nil, store, []byte(input.ScrapeConfigs), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	made := generated{Config: string(config), Files: map[string]string{}}
	for name, content := range store.TLSAssets() {
		made.Files[name] = string(content)
	}
	return made, nil
}

func secrets(given map[string]map[string]string) []any {
	var made []any
	for name, texts := range given {
		data := map[string][]byte{}
		for key, text := range texts {
			data[key] = []byte(text)
		}
		made = append(made, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Data: data})
	}
	return made
}
