// The engine of Centrifugo as a server under load: github.com/centrifugal/centrifuge, with tokens, and published to from the same
// process. It does what bench/contender-process.ts says. Arguments: the port, the secret of the tokens, and settings such as
// `history` or `write-delay=5ms`.
package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
	"golang.org/x/sys/unix"
)

// Within one tick no more is caught up than what this takes.
const longestTick = 50 * time.Millisecond

type settings struct {
	history           bool
	offReadLoop       bool
	writeDelay        time.Duration
	channelBatchDelay time.Duration
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: centrifuge PORT SECRET [history] [off-read-loop] [write-delay=5ms] [channel-batch=5ms]")
	}
	port, secret := os.Args[1], []byte(os.Args[2])
	chosen := settingsOf(os.Args[3:])
	node := start(chosen, secret)
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		UseWriteBufferPool:         true,
		ProcessCommandsOffReadLoop: chosen.offReadLoop,
		// No row has a heartbeat within its measurement.
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: 10 * time.Minute, PongTimeout: time.Minute},
	}))
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil)) }()
	untilListening(port)
	fmt.Println("listening")
	obey(node, chosen)
}

func settingsOf(words []string) settings {
	var chosen settings
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "history":
			chosen.history = true
		case "off-read-loop":
			chosen.offReadLoop = true
		case "write-delay":
			chosen.writeDelay = durationOf(value)
		case "channel-batch":
			chosen.channelBatchDelay = durationOf(value)
		default:
			log.Fatalf("unknown setting %q", word)
		}
	}
	return chosen
}

func durationOf(text string) time.Duration {
	duration, err := time.ParseDuration(text)
	if err != nil {
		log.Fatal(err)
	}
	return duration
}

func start(chosen settings, secret []byte) *centrifuge.Node {
	config := centrifuge.Config{
		// Its default closes connections that are a megabyte behind. A row is to show what it manages, not that.
		ClientQueueMaxSize: 64 << 20,
	}
	if chosen.channelBatchDelay > 0 {
		config.GetChannelBatchConfig = func(string) centrifuge.ChannelBatchConfig {
			return centrifuge.ChannelBatchConfig{MaxDelay: chosen.channelBatchDelay}
		}
	}
	node, err := centrifuge.New(config)
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		user, ok := userOf(event.Token, secret)
		if !ok {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: user}}
		if chosen.writeDelay > 0 {
			reply.WriteDelay = chosen.writeDelay
			reply.WriteWithTimer = true
			reply.MaxMessagesInFrame = -1
			reply.ReplyWithoutQueue = true
		}
		return reply, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{
				Options: centrifuge.SubscribeOptions{EnableRecovery: chosen.history, EnablePositioning: chosen.history},
			}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	return node
}

// userOf checks a token that is signed with HS256.
func userOf(token string, secret []byte) (string, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if !hmac.Equal(signature, mac.Sum(nil)) {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	return claims.Sub, json.Unmarshal(payload, &claims) == nil
}

func untilListening(port string) {
	for {
		response, err := http.Get("http://127.0.0.1:" + port + "/")
		if err == nil {
			_ = response.Body.Close()
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func obey(node *centrifuge.Node, chosen settings) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		line := lines.Text()
		if line == "collect" {
			debug.FreeOSMemory()
			fmt.Println("collected")
			continue
		}
		var rate, ms, channels, first, bytes int
		var prefix string
		if _, err := fmt.Sscanf(line, "publish %d %d %s %d %d %d", &rate, &ms, &prefix, &channels, &first, &bytes); err != nil {
			log.Fatalf("%q: %v", line, err)
		}
		fmt.Println("publishing")
		fmt.Printf("published %d\n", publish(node, chosen, rate, ms, prefix, channels, first, bytes))
	}
}

// publish is what sendEvenly is in server/src/load/even-schedule.ts.
func publish(node *centrifuge.Node, chosen settings, rate, ms int, prefix string, channels, first, bytes int) int {
	names := make([]string, channels)
	for i := range names {
		names[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	var options []centrifuge.PublishOption
	if chosen.history {
		options = append(options, centrifuge.WithHistory(100, time.Minute))
	}
	fill := strings.Repeat("x", bytes)
	begun := monotonic()
	end := begun + time.Duration(ms)*time.Millisecond
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	sent := 0
	for range ticker.C {
		ticked := monotonic()
		due := int(float64(min(ticked, end)-begun) / float64(time.Second) * float64(rate))
		for sent < due {
			number := first + sent
			moment := begun + time.Duration(float64(sent)/float64(rate)*float64(time.Second))
			text := fmt.Sprintf("%010d.%016d.%s", number/channels, moment.Microseconds(), fill)
			if _, err := node.Publish(names[number%channels], []byte(`"`+text[:bytes-2]+`"`), options...); err != nil {
				log.Fatal(err)
			}
			sent++
			if monotonic()-ticked > longestTick {
				break
			}
		}
		if ticked >= end {
			break
		}
	}
	return sent
}

// monotonic reads the clock that the load generator reads, too.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		log.Fatal(err)
	}
	return time.Duration(now.Nano())
}
