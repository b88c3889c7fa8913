# Sidekiq: two queues of one worker, jobs for later, retries, bulk, and what its pages ask. The worker is Sidekiq's own.
require "sidekiq"
require "sidekiq/api"

url = ARGV[0] || ENV["LIVE_SERVER"]
Sidekiq.configure_client { |config| config.redis = { url: url } }
Sidekiq.configure_server { |config| config.redis = { url: url }; config.average_scheduled_poll_interval = 1 }

class Run
  include Sidekiq::Job if defined?(Sidekiq::Job)
  include Sidekiq::Worker unless defined?(Sidekiq::Job)
  sidekiq_options retry: 3
  sidekiq_retry_in { 1 }

  def perform(number, times)
    tried = Sidekiq.redis { |redis| redis.incr("tried:#{number}") }
    raise "not yet" if tried < times
    Sidekiq.redis { |redis| redis.sadd("done", [number]) }
  end
end

unless ENV["LIVE_SERVER"]
  worker = spawn({ "LIVE_SERVER" => url }, "sidekiq", "-r", File.expand_path(__FILE__), "-q", "default,2", "-q", "mail", "-c", "2")
  begin
    10.times { |number| Run.set(queue: number.odd? ? "mail" : "default").perform_async(number, 1) }
    Sidekiq::Client.push_bulk("class" => Run, "args" => [[10, 1], [11, 1]])
    Run.perform_in(1, 12, 1)
    Run.perform_async(13, 2)
    deadline = Time.now + 40
    until Sidekiq.redis { |redis| redis.scard("done") } == 14
      abort "only #{Sidekiq.redis { |redis| redis.smembers("done") }}" if Time.now > deadline
      sleep 0.1
    end
    abort "no process" if Sidekiq::ProcessSet.new.size != 1
    abort "jobs are left" unless [Sidekiq::Queue.new("mail"), Sidekiq::Queue.new, Sidekiq::RetrySet.new, Sidekiq::ScheduledSet.new].sum(&:size).zero?
    abort "failed: #{Sidekiq::Stats.new.failed}" if Sidekiq::Stats.new.queues.keys.sort != %w[default mail]
  ensure
    Process.kill("TERM", worker)
    Process.wait(worker)
  end
end
