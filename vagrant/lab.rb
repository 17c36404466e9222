# What vagrant/Vagrantfile needs besides options: what was prepared, and the few things of the lab's
# machines that vagrant-libvirt (0.11) has no option for.
require "json"

module FailoverHarness
  CACHE = ENV.fetch("FAILOVER_HARNESS_CACHE", "/var/cache/failover-harness")
  LAB = File.join(CACHE, "vagrant", "lab.json")
  HARNESS = ENV.fetch("FAILOVER_HARNESS", File.expand_path("../.venv/bin/harness", __dir__))

  # What the machines are to be; nil if nothing is prepared. Before `vagrant up` it is prepared: here
  # and not in a trigger, as that would come after Vagrant has read the settings of the machines.
  def self.lab(up: false)
    if up && !@asked
      @asked = true # Vagrant reads its file once for each machine
      more = ENV.fetch("FAILOVER_HARNESS_PREPARE", "").split
      unless system(HARNESS, "adopt", "--prepare", *more)
        abort "#{HARNESS} adopt --prepare failed (hint: make install; FAILOVER_HARNESS names another)"
      end
    end
    File.exist?(LAB) ? JSON.parse(File.read(LAB)) : nil
  rescue SystemCallError, JSON::ParserError => error
    abort "#{LAB} cannot be read: #{error.message} (hint: run it as the one who prepared it)"
  end

  # A domain as Vagrant has defined it, made what the lab's own definition of the machine says where
  # there is no option for that. Doing it again changes nothing.
  #
  # * a second CPU that stays empty, without which an emulated machine loses notifications, and CPU
  #   features without a CPU model (docs/architecture.md);
  # * the serial console with its log, and the virtio console, which are witnesses;
  # * the seed, read-only as a disk that is in no snapshot has to be;
  # * the tap of the control link's card, which is the provider's own and has no options.
  def self.fitted(theirs, own)
    domain, lab = Nokogiri::XML(theirs), Nokogiri::XML(own)
    devices = domain.at_xpath("/domain/devices")
    %w[vcpu cpu].each do |name|
      domain.at_xpath("/domain/#{name}").replace(lab.at_xpath("/domain/#{name}").dup)
    end
    ours = "serial | console | disk[serial='seed']"
    devices.xpath(ours).remove
    lab.xpath("/domain/devices").xpath(ours).each { |device| devices.add_child(device.dup) }
    # As libvirt itself tells the serial console once more, before others: else it counts those anew
    # when it reads this again, and the provider finds that something differs.
    twin = devices.at_xpath("serial").dup
    twin.name = "console"
    twin.at_xpath("target")["type"] = "serial"
    devices.at_xpath("console").add_previous_sibling(twin)
    lab.xpath("/domain/devices/interface").each do |card|
      mac = card.at_xpath("mac/@address").value
      here = devices.at_xpath("interface[mac/@address='#{mac}']")
      target = here.at_xpath("target") || here.add_child(Nokogiri::XML::Node.new("target", domain))
      target["dev"] = card.at_xpath("target/@dev").value
    end
    domain.root.to_xml
  end

  # The same without the seed, which is no volume of a storage pool: the provider would remove it as
  # one, and fail.
  def self.seedless(theirs)
    domain = Nokogiri::XML(theirs)
    domain.xpath("/domain/devices/disk[serial='seed']").remove
    domain.root.to_xml
  end

  def self.machine(name)
    (lab || { "machines" => [] })["machines"].find { |one| one["name"] == name.to_s }
  end

  # Runs just before a domain of the lab is started, each time.
  class Fit
    def initialize(app, _env)
      @app = app
    end

    def call(env)
      own = FailoverHarness.machine(env[:machine].name)
      unless own.nil?
        connection = env[:machine].provider.driver.connection
        domain = connection.client.lookup_domain_by_uuid(env[:machine].id)
        # 2 and 1: as it is defined, with what is secret in it (virDomainXMLFlags).
        connection.define_domain(FailoverHarness.fitted(domain.xml_desc(3), own["domain"]))
      end
      @app.call(env)
    end
  end

  # Runs just before a domain is removed. One that runs would still tell of the disk.
  class Unfit
    def initialize(app, _env)
      @app = app
    end

    def call(env)
      connection = env[:machine].provider.driver.connection
      domain = connection.client.lookup_domain_by_uuid(env[:machine].id)
      domain.destroy if domain.active?
      connection.define_domain(FailoverHarness.seedless(domain.xml_desc(3)))
      @app.call(env)
    end
  end

  # The guests' addresses on the control link are their own, and no DHCP server has heard of them.
  module KnownAddress
    def get_ipaddress(domain = nil)
      own = FailoverHarness.machine(@machine.name)
      own.nil? ? super : own["address"]
    end
  end

  class Plugin < Vagrant.plugin("2")
    name "failover-harness"
    description "The lab's machines with vagrant-libvirt"

    action_hook(:fit, "VagrantPlugins::ProviderLibvirt::Action::StartDomain") do |hook|
      hook.prepend(Fit)
    end
    action_hook(:unfit, "VagrantPlugins::ProviderLibvirt::Action::DestroyDomain") do |hook|
      hook.prepend(Unfit)
    end
  end

  unless Vagrant.has_plugin?("vagrant-libvirt")
    abort "vagrant-libvirt is not installed (hint: apt-get install vagrant-libvirt)"
  end
  require "nokogiri"
  require "vagrant-libvirt/provider"
  VagrantPlugins::ProviderLibvirt::Driver.prepend(KnownAddress)
end
